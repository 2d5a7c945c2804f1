//! The other end: a process that reads one script, runs it, and says what came of it.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boa_engine::context::ContextBuilder;
use boa_engine::context::time::{Clock, JsInstant};
use boa_engine::property::Attribute;
use boa_engine::{
    Context, JsArgs, JsNativeError, JsResult, JsString, JsValue, NativeFunction, Script, Source,
    js_string,
};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Input, Output};

/// Whoever runs the executable by hand did not mean to wait for a script.
pub(super) const MARK: &str = "PITWALL_SCRIPT_WORKER";

const MEMORY: u64 = 256 << 20;
const SECONDS: u64 = 2;
const STACK: usize = 64 << 20;
const LOOPS: u64 = 10_000_000;
const DEPTH: usize = 400;
/// The longest answer, in bytes.
const LONGEST: usize = 1 << 20;

/// What every script finds around it: names that pages expect, and nothing that leads outside.
const PRELUDE: &str = "var window = globalThis, self = globalThis;\
    var console = {log() {}, warn() {}, error() {}, info() {}, debug() {}};";

/// Is it a script at all? Judged when the configuration is read.
pub(super) fn check(code: &str) -> Result<(), String> {
    let mut context = Context::default();
    match Script::parse(Source::from_bytes(code), None, &mut context) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("not a script: {error}")),
    }
}

/// Runs the script on standard input in this process, which is limited first and ends after.
pub fn script_worker() -> ExitCode {
    if std::env::var_os(MARK).is_none() || limit().is_err() {
        return ExitCode::from(2);
    }
    let worker = std::thread::Builder::new().stack_size(STACK).spawn(answer);
    let answer = worker.ok().and_then(|worker| worker.join().ok()).flatten();
    let written = answer.and_then(|answer| {
        let mut out = std::io::stdout().lock();
        out.write_all(b"\n").and_then(|()| out.write_all(&answer)).and_then(|()| out.flush()).ok()
    });
    if written.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn answer() -> Option<Vec<u8>> {
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text).ok()?;
    serde_json::to_vec(&evaluate(&serde_json::from_slice(&text).ok()?)).ok()
}

/// From here on: so much memory beyond what the executable itself takes, so many seconds, no
/// files, no dump.
fn limit() -> std::io::Result<()> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
    let size = pages.saturating_mul(4096).saturating_add(MEMORY + STACK as u64);
    let set =
        |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    set(Resource::As, size)?;
    set(Resource::Cpu, SECONDS)?;
    set(Resource::Core, 0)?;
    set(Resource::Fsize, LONGEST as u64 * 2)?;
    Ok(())
}

fn evaluate(input: &Input) -> Output {
    let mut context = match prepare(input) {
        Ok(context) => context,
        Err(error) => return Output::Failed(error.to_string()),
    };
    let value = context.eval(Source::from_bytes(&input.code));
    let result = value.and_then(|value| output(&value, &mut context));
    match result {
        Ok(output) => output,
        Err(error) => {
            let text = error.to_string();
            match text.strip_prefix("RuntimeLimitError: ") {
                Some(limit) if limit.contains("loop") => {
                    Output::Limited("the script looped too often".to_owned())
                }
                Some(_) => Output::Limited("the script nested too deeply".to_owned()),
                None if text.contains("allocating") => {
                    Output::Limited("the script used too much memory".to_owned())
                }
                None => Output::Failed(text),
            }
        }
    }
}

struct Frozen(i64);

impl Clock for Frozen {
    fn now(&self) -> JsInstant {
        JsInstant::new(0, 0)
    }

    fn system_time_millis(&self) -> i64 {
        self.0
    }
}

fn prepare(input: &Input) -> JsResult<Context> {
    let mut context = ContextBuilder::new().clock(Rc::new(Frozen(input.now))).build()?;
    context.eval(Source::from_bytes(PRELUDE))?;
    let limits = context.runtime_limits_mut();
    limits.set_loop_iteration_limit(LOOPS);
    limits.set_recursion_limit(DEPTH);
    let text = |text: &str| JsValue::from(JsString::from(text));
    let variables = serde_json::to_value(&input.variables).unwrap_or_default();
    let variables = JsValue::from_json(&variables, &mut context)?;
    for (name, value) in
        [("vars", variables), ("page", text(&input.page)), ("url", text(&input.url))]
    {
        context.register_global_property(JsString::from(name), value, Attribute::all())?;
    }
    let decode = NativeFunction::from_fn_ptr(atob);
    context.register_global_builtin_callable(js_string!("atob"), 1, decode)?;
    let encode = NativeFunction::from_fn_ptr(btoa);
    context.register_global_builtin_callable(js_string!("btoa"), 1, encode)?;
    // The same chance in every replay.
    let chance = format!(
        "{{ let s = {}; Math.random = () => {{ s = (s * 1664525 + 1013904223) % 4294967296; \
         return s / 4294967296; }}; }}",
        input.seed % 4_294_967_296
    );
    context.eval(Source::from_bytes(&chance))?;
    Ok(context)
}

/// Bytes as characters, as browsers have it.
fn atob(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let text = arguments.get_or_undefined(0).to_string(context)?.to_std_string_lossy();
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let padded = match compact.len() % 4 {
        2 => compact + "==",
        3 => compact + "=",
        _ => compact,
    };
    let bytes = STANDARD.decode(padded);
    let bytes = bytes.map_err(|_| JsNativeError::range().with_message("atob: not base64"))?;
    let text: String = bytes.into_iter().map(char::from).collect();
    Ok(JsString::from(text).into())
}

fn btoa(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let text = arguments.get_or_undefined(0).to_string(context)?.to_std_string_lossy();
    let bytes: Result<Vec<u8>, _> = text.chars().map(|c| u8::try_from(u32::from(c))).collect();
    let bytes = bytes.map_err(|_| JsNativeError::range().with_message("btoa: not bytes"))?;
    Ok(JsString::from(STANDARD.encode(bytes)).into())
}

fn output(value: &JsValue, context: &mut Context) -> JsResult<Output> {
    if value.is_null_or_undefined() {
        return Ok(Output::Failed("its last expression has no value".to_owned()));
    }
    let json = match value.as_string() {
        Some(text) => Some(serde_json::Value::String(text.to_std_string_lossy())),
        None => value.to_json(context)?.map(whole),
    };
    let plain = |json: serde_json::Value| match json {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    let output = match json {
        None => return Ok(Output::Failed("its last expression has no value".to_owned())),
        Some(serde_json::Value::Array(items)) => {
            Output::Items(items.into_iter().map(plain).collect())
        }
        Some(json) => Output::Text(plain(json)),
    };
    let length = match &output {
        Output::Items(items) => items.iter().map(String::len).sum(),
        Output::Text(text) => text.len(),
        Output::Failed(_) | Output::Limited(_) => 0,
    };
    Ok(if length > LONGEST {
        Output::Limited("the script yields more than 1 MiB".to_owned())
    } else {
        output
    })
}

/// All numbers of JavaScript are fractions; it writes those that are whole without one.
fn whole(json: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match json {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and exact up to here")]
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < EXACT => (float as i64).into(),
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, whole(value))).collect())
        }
        other => other,
    }
}
