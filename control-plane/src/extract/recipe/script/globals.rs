//! The globals that scripts of pages expect: those that JavaScript itself can say are in
//! `prelude.js`, and what it needs is here. None of them does any I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boa_engine::object::ObjectInitializer;
use boa_engine::property::Attribute;
use boa_engine::{
    Context, JsArgs as _, JsNativeError, JsResult, JsString, JsValue, NativeFunction, Source,
    js_string,
};
use url::{Position, Url, form_urlencoded, quirks};

use crate::charset;

type NativeCode = fn(&JsValue, &[JsValue], &mut Context) -> JsResult<JsValue>;

const PRELUDE: &str = include_str!("prelude.js");

pub(super) fn define_globals(context: &mut Context) -> JsResult<()> {
    let functions: [(JsString, NativeCode); 5] = [
        (js_string!("parseQuery"), parse_query),
        (js_string!("serializeQuery"), serialize_query),
        (js_string!("parseUrl"), parse_url),
        (js_string!("decodeText"), decode_text),
        (js_string!("encodeText"), encode_text),
    ];
    let mut native = ObjectInitializer::new(context);
    for (name, code) in functions {
        native.function(NativeFunction::from_fn_ptr(code), name, 1);
    }
    let native = native.build();
    context.register_global_property(js_string!("native"), native, Attribute::all())?;
    context.eval(Source::from_bytes(PRELUDE))?;
    let decode = NativeFunction::from_fn_ptr(atob);
    context.register_global_builtin_callable(js_string!("atob"), 1, decode)?;
    let encode = NativeFunction::from_fn_ptr(btoa);
    context.register_global_builtin_callable(js_string!("btoa"), 1, encode)
}

fn text_argument(arguments: &[JsValue], at: usize, context: &mut Context) -> JsResult<String> {
    Ok(arguments.get_or_undefined(at).to_string(context)?.to_std_string_lossy())
}

/// The bytes of a string with one character per byte.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// A string with one character per byte.
fn binary_string(bytes: impl IntoIterator<Item = u8>) -> JsValue {
    let text: String = bytes.into_iter().map(char::from).collect();
    JsString::from(text).into()
}

/// `atob` of browsers: decodes base64 to a string with one character per byte.
fn atob(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let text = text_argument(arguments, 0, context)?;
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let padded = match compact.len() % 4 {
        2 => compact + "==",
        3 => compact + "=",
        _ => compact,
    };
    let bytes = STANDARD.decode(padded);
    let bytes = bytes.map_err(|_| JsNativeError::range().with_message("atob: not base64"))?;
    Ok(binary_string(bytes))
}

/// `btoa` of browsers: encodes a string with one character per byte as base64.
fn btoa(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let bytes = bytes_of(&text_argument(arguments, 0, context)?);
    let bytes = bytes.ok_or_else(|| JsNativeError::range().with_message("btoa: not bytes"))?;
    Ok(JsString::from(STANDARD.encode(bytes)).into())
}

/// The names and values of a query, as JSON.
fn parse_query(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let text = text_argument(arguments, 0, context)?;
    let pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
    let json = serde_json::to_string(&pairs).unwrap_or_default();
    Ok(JsString::from(json).into())
}

/// The query for names and values in JSON.
fn serialize_query(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let json = text_argument(arguments, 0, context)?;
    let pairs: Vec<(String, String)> = serde_json::from_str(&json).unwrap_or_default();
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    Ok(JsString::from(query).into())
}

/// The parts of a URL, which may be relative to a second one, as JSON; null if it is not a URL.
fn parse_url(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let text = text_argument(arguments, 0, context)?;
    let base = text_argument(arguments, 1, context)?;
    let url = match base.as_str() {
        "" => Url::parse(&text),
        base => Url::parse(base).and_then(|base| base.join(&text)),
    };
    let Ok(url) = url else { return Ok(JsValue::null()) };
    let parts = serde_json::json!({
        "before": &url[..Position::AfterPath],
        "protocol": quirks::protocol(&url),
        "origin": quirks::origin(&url),
        "host": quirks::host(&url),
        "hostname": quirks::hostname(&url),
        "port": quirks::port(&url),
        "pathname": quirks::pathname(&url),
        "search": quirks::search(&url),
        "hash": quirks::hash(&url),
    });
    Ok(JsString::from(parts.to_string()).into())
}

/// Decodes a string with one character per byte; null if the encoding is not known.
fn decode_text(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let label = text_argument(arguments, 0, context)?;
    let bytes = bytes_of(&text_argument(arguments, 1, context)?).unwrap_or_default();
    let text = charset::decode_as(&label, &bytes);
    Ok(text.map_or(JsValue::null(), |text| JsString::from(text).into()))
}

/// The UTF-8 of a text, as a string with one character per byte.
fn encode_text(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    Ok(binary_string(text_argument(arguments, 0, context)?.into_bytes()))
}
