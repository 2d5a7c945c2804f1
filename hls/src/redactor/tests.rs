use super::*;

fn redactor(open: Option<&'static str>) -> Redactor {
    let is_open = |host: &'static str| -> PublicUrlFilter {
        Arc::new(move |url: &Url| url.host_str() == Some(host))
    };
    let mut redactor = Redactor::new(open.map(is_open));
    redactor.add_url(
            &Url::parse("https://joe:hunter22@cdn.origin.test:8443/live/m.m3u8?tk=Tok3n%2FSECRET&q=720p&e=1767225600&f=subtitles&sig=opensesame")
                .unwrap(),
        );
    redactor.add_url(&Url::parse("http://packager/live.m3u8").unwrap());
    redactor.add_field("Authorization", "Bearer Ey.jWT.sig");
    redactor.add_field("X-Auth", "Basic am9lOmh1bnRlcjIy");
    redactor.add_field("Cookie", "sid=Sess10n; theme=dark; _ga=GA1.2.1234567");
    redactor.add_field("Set-Cookie", "id=C00kie1; Path=/premium; HttpOnly");
    redactor.add_field("Referer", "https://club.test/watch");
    redactor.add_field("User-Agent", "Broadcast/7.0");
    redactor
}

#[test]
fn what_may_be_published() {
    let encode = |text: &str| STANDARD.encode(text);
    let encode_url = |text: &str| encode(text).replace('+', "-").replace('/', "_");
    let rows: Vec<(String, bool)> = [
        "",
        "Race",
        "AC//DC",
        "// a note //",
        "7 cars, lap 12/57",
        "16:9 https",
        "avc1.64001f,mp4a.40.2",
        "com.example.drm:A/B",
        "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed",
        "0x8bc3bb1f9d8f8f1d8bc3bb1f9d8f8f1d",
        "/DAlAAAAAAAAAP/wFAUAAAABf+/+LRQrAP4BI9MIAAEBAQAAfxV6SQ==",
        "//8AAAAAAP/wFAUAAAAB//+LRQrAP4BI9MI=",
        "100 % sure \\ yes & no",
        "720p",
        "1767225600",
        "SUBTITLES",
        "packager",
        "skd://asset-1",
        "notcdn.origin.test2",
        "2026-11-30T09:37:36.000Z",
        "/premium HttpOnly",
        "Broadcast/7.0",
        "data:text/plain;base64,AAAAOHBzc2gAAAAA7e+LqXnWSs4=",
    ]
    .iter()
    .map(|text| ((*text).to_owned(), true))
    .chain(
        [
            "http://elsewhere.test/",
            "see https://elsewhere.test",
            "HTTPS://ELSEWHERE.TEST/",
            "x=rtmp://elsewhere.test/app",
            "//elsewhere.test/a",
            "//elsewhere/a",
            "##//elsewhere.test/a",
            "href='//elsewhere.test/a'",
            "//[2001:db8::1]/a",
            "http:\\/\\/elsewhere.test\\/",
            "{'u':'https:\\u002f\\u002felsewhere.test'}",
            "https%3A%2F%2Felsewhere.test%2F",
            "https%253A%252F%252Felsewhere.test",
            "https%2525253A%2525252F%2525252Felsewhere.test",
            "https:&#x2F;&#47;elsewhere.test",
            "via cdn.origin.test",
            "CDN.Origin.TEST:8443",
            "eu.cdn.origin.test",
            "cdn%2Eorigin%2Etest",
            "//packager/x",
            "http://packager:80",
            "tok3n/secret",
            "Tok3n%2FSECRET",
            "a=Tok3n/SECRET;b",
            "hunter22",
            "opensesame",
            "Sess10n",
            "C00kie1",
            "Ey.jWT.sig",
            "club.test",
            "skd://cdn.origin.test/1",
            "urn:x:hunter22",
        ]
        .iter()
        .map(|text| ((*text).to_owned(), false)),
    )
    .chain(
        ["http://elsewhere.test/live", "x cdn.origin.test", "xxTok3n/SECRET??>>"].iter().flat_map(
            |text| {
                let shifted = (0..3).map(|before| format!("{}{text}", "-".repeat(before)));
                shifted
                    .flat_map(|text| {
                        [encode(&text), encode_url(&text), format!("data:{}", encode(&text))]
                    })
                    .map(|text| (text, false))
                    .collect::<Vec<_>>()
            },
        ),
    )
    .collect();
    let redactor = redactor(None);
    for (text, expected) in rows {
        assert_eq!(redactor.can_publish(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn open_urls_may_be_named() {
    let encode = |text: &str| STANDARD.encode(text);
    for (text, expected) in [
        ("http://open.test/live?a=b", true),
        ("see http://open.test/ and https://open.test/x", true),
        ("//open.test/a", true),
        ("http:\\/\\/open.test\\/a", true),
        (&*encode("http://open.test/a"), true),
        ("http://other.test/", false),
        ("http://open.test/ http://other.test/", false),
        ("http://open.test.other.test/", false),
        ("http://open.test@other.test/", false),
        ("http://open.test/?u=http%3A%2F%2Fother.test", false),
        (&*encode("http://other.test/a"), false),
        ("http://open.test/?t=hunter22", false),
    ] {
        assert_eq!(redactor(Some("open.test")).can_publish(text.as_bytes()), expected, "{text}");
    }
    // Whoever may name the host knows it.
    assert!(redactor(Some("cdn.origin.test")).can_publish(b"https://cdn.origin.test/?tk=Tok3n"));
}
