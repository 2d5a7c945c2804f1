//! Generated responses: sound ones, and such as are ambiguous, cut or damaged.

use proptest::prelude::*;

fn field() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        6 => Just("Content-Length"),
        6 => Just("Transfer-Encoding"),
        2 => Just("Connection"),
        3 => Just("X"),
        1 => Just("Bad Name"),
        1 => Just(""),
    ];
    let value = prop_oneof![
        8 => (0_u64..12).prop_map(|length| length.to_string()),
        6 => Just("chunked".to_owned()),
        1 => Just("gzip, chunked".to_owned()),
        1 => Just("identity".to_owned()),
        1 => Just("close".to_owned()),
        1 => Just("keep-alive".to_owned()),
        1 => Just("5, 5".to_owned()),
        1 => Just(String::new()),
        1 => Just("a\r\n b".to_owned()),
        1 => "[ -~\t]{0,8}",
    ];
    let separator =
        prop_oneof![8 => Just(": "), 1 => Just(":"), 1 => Just(" : "), 1 => Just(":\t")];
    (name, separator, value, line_end())
        .prop_map(|(name, separator, value, end)| format!("{name}{separator}{value}{end}"))
}

fn line_end() -> impl Strategy<Value = &'static str> {
    prop_oneof![12 => Just("\r\n"), 1 => Just("\n")]
}

fn head() -> impl Strategy<Value = String> {
    let start = prop_oneof![
        12 => Just("HTTP/1.1 200 OK"),
        2 => Just("HTTP/1.0 200 OK"),
        1 => Just("HTTP/1.1 204 No Content"),
        1 => Just("HTTP/1.1 304 Not Modified"),
        1 => Just("HTTP/1.1 404"),
        1 => Just("HTTP/1.1 206 "),
    ];
    (start, line_end(), prop::collection::vec(field(), 0..4), line_end())
        .prop_map(|(start, end, fields, last)| format!("{start}{end}{}{last}", fields.concat()))
}

fn body() -> impl Strategy<Value = String> {
    let chunk =
        ("[a-z]{1,12}", prop_oneof![6 => Just(""), 1 => Just(";a=b"), 1 => Just(" ")], -1_i64..=1)
            .prop_map(|(data, extension, error)| {
                // One chunk in many announces another size than it has.
                let size =
                    if data.len() > 10 { data.len() as i64 + error } else { data.len() as i64 };
                format!("{size:x}{extension}\r\n{data}\r\n")
            });
    let last = prop_oneof![6 => Just("0\r\n\r\n"), 1 => Just("0\r\na: b\r\n\r\n"), 1 => Just(""), 1 => Just("0\r\n")];
    prop_oneof![
        2 => "[a-z\r\n]{0,16}",
        3 => (prop::collection::vec(chunk, 0..4), last)
            .prop_map(|(chunks, last)| format!("{}{last}", chunks.concat())),
    ]
}

/// A response of which some bytes may have been replaced, or the end cut off.
pub(super) fn generated_response() -> impl Strategy<Value = Vec<u8>> {
    let interim = prop_oneof![
        8 => Just(""),
        1 => Just("HTTP/1.1 100 Continue\r\n\r\n"),
        1 => Just("HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"),
    ];
    let byte = prop::sample::select(b"\r\n\0\t :;,0159aAzZ\x7f\x80\xff".to_vec());
    let edits = prop_oneof![
        4 => Just(vec![]),
        2 => prop::collection::vec((any::<prop::sample::Index>(), byte), 1..3),
    ];
    let cut = prop_oneof![6 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)];
    (interim, head(), body(), edits, cut).prop_map(|(interim, head, body, edits, cut)| {
        let mut bytes = format!("{interim}{head}{body}").into_bytes();
        for (index, byte) in edits {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    })
}
