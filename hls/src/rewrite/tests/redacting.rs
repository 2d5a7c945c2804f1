//! What becomes of text that names the origin, wherever a playlist may have it.

use std::fmt::Write as _;

use super::*;
use crate::redactor::Redactor;
use crate::rewrite_json_document;

const URL: &str = "https://cdn.origin.example/live/v.m3u8?token=Tok3nSECRET";

/// Writes links from which nothing of the URL can be read.
struct Mapper(Redactor);

impl UriMapper for Mapper {
    fn map_uri(&mut self, reference: &UriReference<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("<{:?}>", reference.role).as_bytes());
    }

    fn redactor(&self) -> Option<&Redactor> {
        Some(&self.0)
    }
}

fn mapper() -> Mapper {
    let mut redactor = Redactor::new(None);
    redactor.add_url(&Url::parse(URL).unwrap());
    Mapper(redactor)
}

fn redact(lines: &str) -> String {
    let input = format!("{HEAD}{lines}");
    let limits = PlaylistLimits::default();
    let rewritten = rewrite(input.as_bytes(), &base(), &imported(), &limits, &mut mapper());
    let text = String::from_utf8(rewritten.unwrap().bytes).unwrap();
    text.strip_prefix(HEAD).unwrap().to_owned()
}

#[test]
fn what_names_the_origin_goes() {
    for (lines, expected) in [
        ("# @", "#"),
        ("##@", "#"),
        ("#Vendor: @", "#"),
        ("# by cdn.origin.example", "#"),
        ("#EXTINF:6,@", "#EXTINF:6,"),
        ("#EXTINF:6.006 @", "#EXTINF:6.006,"),
        ("#EXTINF:-1 logo=\"@\",Race", "#EXTINF:-1,"),
        ("#EXTINF:6,Tok3nSECRET", "#EXTINF:6,"),
        (
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-30T09:37:36Z @",
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-30T09:37:36Z",
        ),
        ("#EXT-X-VENDOR:URL=@", "#EXT-X-VENDOR:URL=<UnknownTag>"),
        ("#EXT-X-VENDOR:URL=https://h/a,b?c=d,NEXT=1", "#EXT-X-VENDOR:URL=<UnknownTag>,NEXT=1"),
        ("#EXT-X-VENDOR:@", "#EXT-X-VENDOR:<UnknownTag>"),
        ("#EXT-X-VENDOR: @", "#EXT-X-VENDOR: <UnknownTag>"),
        ("#EXT-X-VENDOR:see @", "#EXT-X-VENDOR:see "),
        ("#EXT-X-VENDOR:A=1,@,B=2", "#EXT-X-VENDOR:A=1,,B=2"),
        ("#EXT-X-VENDOR:A=1,by cdn.origin.example", "#EXT-X-VENDOR:A=1"),
        ("#EXT-X-VENDOR:A=1,Tok3nSECRET=2", "#EXT-X-VENDOR:A=1,"),
        ("#EXT-X-Tok3nSECRET:1", "#"),
        (
            "#EXT-X-DATERANGE:ID=\"a\",X-COM-LINK=\"@\"",
            "#EXT-X-DATERANGE:ID=\"a\",X-COM-LINK=\"<UnknownTag>\"",
        ),
        (
            "#EXT-X-DATERANGE:ID=\"cdn.origin.example\",X-A=\"b\"",
            "#EXT-X-DATERANGE:ID=\"hidden\",X-A=\"b\"",
        ),
        ("#EXT-X-DATERANGE:ID=\"a\",X-A=\"{'u':'@'}\"", "#EXT-X-DATERANGE:ID=\"a\",X-A=\"hidden\""),
        (
            "#EXT-X-DATERANGE:ID=\"a\",X-A=\"/terms?token=Tok3nSECRET\"",
            "#EXT-X-DATERANGE:ID=\"a\",X-A=\"hidden\"",
        ),
        (
            "#EXT-X-SESSION-DATA:DATA-ID=\"a\",VALUE=\"see @\"",
            "#EXT-X-SESSION-DATA:DATA-ID=\"a\",VALUE=\"hidden\"",
        ),
        ("#EXT-X-CUE-OUT:DURATION=30,CUE=\"@\"", "#EXT-X-CUE-OUT:DURATION=30,CUE=\"<UnknownTag>\""),
        (
            "#EXT-X-SKIP:SKIPPED-SEGMENTS=1,URL=\"@\"",
            "#EXT-X-SKIP:SKIPPED-SEGMENTS=1,URL=\"<UnknownTag>\"",
        ),
        (
            "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://cdn.origin.example\"",
            "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"hidden\"",
        ),
        ("#EXT-X-THUMBS:URI=\"t.jpg?t=Tok3nSECRET\"", "#EXT-X-THUMBS:URI=\"<UnknownTag>\""),
        ("#EXT-X-ENDLIST @", "#EXT-X-ENDLIST <UnknownTag>"),
        ("rtmp://cdn.origin.example/a", "hidden"),
        (
            "#EXT-X-DEFINE:NAME=\"t\",VALUE=\"@\"\n#EXT-X-DEFINE:NAME=\"t\",VALUE=\"1\"",
            "#EXT-X-DEFINE:NAME=\"t\",VALUE=\"\"\n#EXT-X-DEFINE:NAME=\"t\",VALUE=\"1\"",
        ),
        ("#EXT-X-DEFINE:NAME=\"t\",VALUE=\"Tok3nSECRET\"", "#EXT-X-DEFINE:NAME=\"t\",VALUE=\"\""),
        ("#EXT-X-DEFINE:QUERYPARAM=\"token\"", "#EXT-X-DEFINE:NAME=\"token\",VALUE=\"\""),
        ("#EXT-X-DEFINE:NAME=\"t\",VALUE=\"1\",X-A=\"@\"", "#"),
        (
            "#EXT-X-DEFINE:NAME=\"t\",VALUE=\"Tok3nSECRET\"\n#EXT-X-NEW:A=\"x{$t}\",B=\"{$t}\"",
            "#EXT-X-DEFINE:NAME=\"t\",VALUE=\"\"\n#EXT-X-NEW:A=\"hidden\",B=\"hidden\"",
        ),
    ] {
        assert_eq!(redact(&lines.replace('@', URL)), expected, "{lines}");
    }
    assert!(!URL.contains('@'));
}

#[test]
fn what_names_nobody_stays() {
    for lines in [
        "# a comment",
        "#EXTINF:6.006,",
        "#EXTINF:6,AC//DC: Thunderstruck",
        "#EXTINF:-1 tvg-id=\"a\" group=\"b\",Race 7",
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-30T09:37:36.123+01:00",
        "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-11-28T00:00:00Z\",SCTE35-OUT=0xFC302500000000000000FFF01405",
        "#EXT-OATCLS-SCTE35:/DAlAAAAAAAAAP/wFAUAAAABf+/+LRQrAP4BI9MIAAEBAQAAfxV6SQ==",
        "#EXT-X-CUE-OUT:DURATION=30,CUE=\"//8AAAAAAP/wFAUAAAAB\"",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://key\",KEYFORMAT=\"com.apple.streamingkeydelivery\"",
        "#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI=\"data:text/plain;base64,AAAAOHBzc2gAAAAA7e+LqXnWSs4=\",KEYFORMAT=\"urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"",
        "#EXT-X-STREAM-INF:BANDWIDTH=1,NAME=\"720p\",,b=\"x",
        "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subtitles\"",
        "#EXT-X-PLAYLIST-TYPE:EVENT",
        "#EXT-X-NEW:a=1 ,, c=\"{$nothing}\"",
        "\r\n\r\n\t \n",
    ] {
        assert_eq!(redact(lines), lines);
    }
}

/// One text in every place of a playlist and a document that the grammar has.
#[test]
fn no_form_of_a_secret_stays_in_any_place() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let percent = percent_encoding::NON_ALPHANUMERIC;
    let percent = percent_encoding::percent_encode(URL.as_bytes(), percent).to_string();
    let forms = [
        URL.to_owned(),
        URL.to_uppercase(),
        URL.replacen("https:", "", 1),
        URL.replacen("//", "//joe:Tok3nSECRET@", 1),
        URL.replace('/', "\\/"),
        percent.replace('%', "%25"),
        percent,
        STANDARD.encode(URL),
        URL_SAFE_NO_PAD.encode(format!("x{URL}")),
        "cdn.origin.example".to_owned(),
        "Tok3nSECRET".to_owned(),
        "/a?b=Tok3nSECRET".to_owned(),
    ];
    for form in forms {
        let mut leaks = String::new();
        for place in [
            "#@",
            "#EXTINF:1,@",
            "#EXTINF:1 @",
            "#EXT-X-PROGRAM-DATE-TIME:@",
            "#EXT-X-NEW:@",
            "#EXT-X-NEW:A=@",
            "#EXT-X-NEW:A=\"@\"",
            "#EXT-X-NEW:A=\"x @ y\"",
            "#EXT-X-NEW:A='@'",
            "#EXT-X-NEW:A=1,@",
            "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",X=\"@\"",
            "#EXT-X-MAP:URI=\"m\",X=\"@\"",
            "#EXT-X-DATERANGE:ID=\"@\",CLASS=\"@\",START-DATE=\"@\",X-A=\"@\"",
            "#EXT-X-SESSION-DATA:DATA-ID=\"@\",VALUE=\"@\",LANGUAGE=\"@\"",
            "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"@\"",
            "#EXT-X-TARGETDURATION:@",
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=@",
            "skd:@",
            "#VENDOR:@",
        ] {
            let text = redact(&place.replace('@', &form)).to_lowercase();
            let has = |needle: &str| text.contains(&needle.to_lowercase());
            if has(&form) || has("tok3nsecret") || has("origin.example") {
                let _ = writeln!(leaks, "{place}: {text}");
            }
        }
        assert_eq!(leaks, "", "{form}");
        for document in [
            serde_json::json!({"ASSETS": [{"URI": "a.m3u8", "X-A": form, "B": [form], "C": {"d": form}}], "E": form}),
            serde_json::json!({"ASSETS": [form], (form.clone()): 1}),
            serde_json::json!({"TTL": 1, "PATHWAY-PRIORITY": [form], "RELOAD-URI": "s", "X": form}),
        ] {
            let out =
                rewrite_json_document(document.to_string().as_bytes(), &base(), &mut mapper());
            let text = String::from_utf8(out.unwrap()).unwrap().to_lowercase();
            let has = |needle: &str| text.contains(&needle.to_lowercase());
            assert!(!has("tok3nsecret") && !has("origin.example") && !has(&form), "{text}");
        }
    }
}
