//! Responses byte by byte, and which of the two clients reads them.

/// Who reads a response, and what its body is then.
pub(super) enum ReadBy {
    Both(&'static str),
    Neither,
    /// The reason for which this client is more lenient.
    OnlyOurs(&'static str, &'static str),
    /// The reason for which this client is stricter.
    OnlyHyper(&'static str),
}
use ReadBy::{Both, Neither, OnlyHyper, OnlyOurs};

const BROWSERS: &str = "browsers and curl read it, and one wrong line costs itself only";
pub(super) const COMPLETE: &str = "the last chunk has come, so that no byte of the body is missing";
const SMUGGLING: &str = "two parsers may end the body at different bytes";
const UNREADABLE: &str = "the body would be passed on in a coding that nobody removes";

/// Responses to GET: `|` is CR LF, `/` LF alone and `\` CR alone.
pub(super) const RESPONSES: &[(&str, &str, ReadBy)] = &[
    ("a length", "HTTP/1.1 200 OK|content-length: 2||hi", Both("hi")),
    ("fields twice", "HTTP/1.1 200 OK|x: a|x: b|content-length: 2||hi", Both("hi")),
    ("no length", "HTTP/1.1 200 OK||until the end", Both("until the end")),
    ("HTTP/1.0", "HTTP/1.0 200 OK|content-length: 2||hi", Both("hi")),
    ("no reason", "HTTP/1.1 200|content-length: 2||hi", Both("hi")),
    ("status 999", "HTTP/1.1 999 X|content-length: 2||hi", Both("hi")),
    ("line feeds alone", "HTTP/1.1 200 OK/content-length: 2//hi", Both("hi")),
    ("empty lines first", "||HTTP/1.1 200 OK|content-length: 2||hi", Both("hi")),
    ("more than the length", "HTTP/1.1 200 OK|content-length: 2||hi, and more", Both("hi")),
    ("bytes beyond ASCII", "HTTP/1.1 200 \u{e9}|x: \u{e9}|content-length: 2||hi", Both("hi")),
    ("interim responses", "HTTP/1.1 100 C||HTTP/1.1 103 H|a: b||HTTP/1.1 200 OK||hi", Both("hi")),
    ("204 with a body", "HTTP/1.1 204 No|content-length: 2||hi", Both("")),
    ("304 with a length", "HTTP/1.1 304 Same|content-length: 2||", Both("")),
    ("chunks", "HTTP/1.1 200 OK|transfer-encoding: chunked||2|hi|0||", Both("hi")),
    ("extensions", "HTTP/1.1 200 OK|transfer-encoding: chunked||2;a=\"b|hi|0;c||", Both("hi")),
    ("trailers", "HTTP/1.1 200 OK|transfer-encoding: chunked||2|hi|0|a: b|c: d||", Both("hi")),
    ("leading zeros", "HTTP/1.1 200 OK|transfer-encoding: chunked||0002|hi|000||", Both("hi")),
    ("space after a size", "HTTP/1.1 200 OK|transfer-encoding: chunked||2 |hi|0||", Both("hi")),
    (
        "after the last chunk",
        "HTTP/1.1 200 OK|transfer-encoding: chunked||0||HTTP/1.1 500",
        Both(""),
    ),
    // Neither.
    ("nothing", "", Neither),
    ("half a head", "HTTP/1.1 200 OK|content-", Neither),
    ("an endless line", "HTTP/1.1 200 OK|x", Neither),
    ("HTTP/0.9", "<html>", Neither),
    ("HTTP/2 in clear text", "PRI * HTTP/2.0||SM||", Neither),
    ("Shoutcast", "ICY 200 OK||hi", Neither),
    ("CR within a value", "HTTP/1.1 200 OK|x: a\\b|content-length: 2||hi", Neither),
    ("CR before the field", "HTTP/1.1 200 OK|\\x: a|content-length: 2||hi", Neither),
    ("NUL in the reason", "HTTP/1.1 200 \0|content-length: 2||hi", Neither),
    ("a short status", "HTTP/1.1 20 OK|content-length: 2||hi", Neither),
    ("a cut body", "HTTP/1.1 200 OK|content-length: 5||hi", Neither),
    ("two lengths", "HTTP/1.1 200 OK|content-length: 2|content-length: 3||hi!", Neither),
    ("two lengths in a list", "HTTP/1.1 200 OK|content-length: 2, 3||hi!", Neither),
    ("a signed length", "HTTP/1.1 200 OK|content-length: +2||hi", Neither),
    (
        "a length beyond all bounds",
        "HTTP/1.1 200 OK|content-length: 18446744073709551616||hi",
        Neither,
    ),
    ("chunked in HTTP/1.0", "HTTP/1.0 200 OK|transfer-encoding: chunked||2|hi|0||", Neither),
    ("a size in 0x", "HTTP/1.1 200 OK|transfer-encoding: chunked||0x2|hi|0||", Neither),
    ("a negative size", "HTTP/1.1 200 OK|transfer-encoding: chunked||-2|hi|0||", Neither),
    (
        "a size beyond all bounds",
        "HTTP/1.1 200 OK|transfer-encoding: chunked||10000000000000000|hi|0||",
        Neither,
    ),
    ("no size", "HTTP/1.1 200 OK|transfer-encoding: chunked||;a|hi|0||", Neither),
    ("LF after a size", "HTTP/1.1 200 OK|transfer-encoding: chunked||2/hi|0||", Neither),
    ("LF in an extension", "HTTP/1.1 200 OK|transfer-encoding: chunked||2;a/hi|0||", Neither),
    ("LF after a chunk", "HTTP/1.1 200 OK|transfer-encoding: chunked||2|hi/0||", Neither),
    ("a longer chunk", "HTTP/1.1 200 OK|transfer-encoding: chunked||2|hi!|0||", Neither),
    ("a shorter chunk", "HTTP/1.1 200 OK|transfer-encoding: chunked||5|hi|0||", Neither),
    ("no last chunk", "HTTP/1.1 200 OK|transfer-encoding: chunked||2|hi|", Neither),
    // Only this client.
    ("space before the colon", "HTTP/1.1 200 OK|content-length : 2||hi", OnlyOurs("hi", BROWSERS)),
    ("a folded field", "HTTP/1.1 200 OK|x: a| b|content-length: 2||hi", OnlyOurs("hi", BROWSERS)),
    ("a line without a colon", "HTTP/1.1 200 OK|x|content-length: 2||hi", OnlyOurs("hi", BROWSERS)),
    (
        "a field without a name",
        "HTTP/1.1 200 OK|: x|content-length: 2||hi",
        OnlyOurs("hi", BROWSERS),
    ),
    (
        "a name with a space",
        "HTTP/1.1 200 OK|a b: x|content-length: 2||hi",
        OnlyOurs("hi", BROWSERS),
    ),
    (
        "spaces before the status",
        "HTTP/1.1  200 OK|content-length: 2||hi",
        OnlyOurs("hi", BROWSERS),
    ),
    (
        "an announced close in place of the last chunk",
        "HTTP/1.1 200 OK|connection: close|transfer-encoding: chunked||2|hi|",
        OnlyOurs(
            "hi",
            "whole chunks, then the announced close: passed on, and not stored as complete",
        ),
    ),
    (
        "no line end after the last chunk",
        "HTTP/1.1 200 OK|transfer-encoding: chunked||2|hi|0|",
        OnlyOurs("hi", COMPLETE),
    ),
    (
        "half a trailer",
        "HTTP/1.1 200 OK|transfer-encoding: chunked||2|hi|0|a:",
        OnlyOurs("hi", COMPLETE),
    ),
    (
        "a trailer that is no field",
        "HTTP/1.1 200 OK|transfer-encoding: chunked||2|hi|0|a b||",
        OnlyOurs("hi", "trailers are skipped unread"),
    ),
    // Only hyper.
    (
        "a length and chunks",
        "HTTP/1.1 200 OK|content-length: 2|transfer-encoding: chunked||2|hi|0||",
        OnlyHyper(SMUGGLING),
    ),
    (
        "chunks and a length",
        "HTTP/1.1 200 OK|transfer-encoding: chunked|content-length: 2||2|hi|0||",
        OnlyHyper(SMUGGLING),
    ),
    (
        "chunked twice",
        "HTTP/1.1 200 OK|transfer-encoding: chunked, chunked||2|hi|0||",
        OnlyHyper(SMUGGLING),
    ),
    (
        "chunked and an empty member",
        "HTTP/1.1 200 OK|transfer-encoding: chunked,||2|hi|0||",
        OnlyHyper(SMUGGLING),
    ),
    (
        "chunked and an empty field",
        "HTTP/1.1 200 OK|transfer-encoding: chunked|transfer-encoding:||2|hi|0||",
        OnlyHyper(SMUGGLING),
    ),
    (
        "chunked and then something else",
        "HTTP/1.1 200 OK|transfer-encoding: chunked, identity||2|hi|0||",
        OnlyHyper(SMUGGLING),
    ),
    ("xchunked", "HTTP/1.1 200 OK|transfer-encoding: xchunked||2|hi|0||", OnlyHyper(SMUGGLING)),
    (
        "chunked with rubbish",
        "HTTP/1.1 200 OK|transfer-encoding: chunked;x||2|hi|0||",
        OnlyHyper(SMUGGLING),
    ),
    (
        "gzip and chunked",
        "HTTP/1.1 200 OK|transfer-encoding: gzip, chunked||2|hi|0||",
        OnlyHyper(UNREADABLE),
    ),
    (
        "gzip as transfer coding",
        "HTTP/1.1 200 OK|transfer-encoding: gzip||hi",
        OnlyHyper(UNREADABLE),
    ),
    (
        "an upgrade",
        "HTTP/1.1 101 Switching|connection: upgrade|upgrade: x||hi",
        OnlyHyper("no request of ours asks for one"),
    ),
];
