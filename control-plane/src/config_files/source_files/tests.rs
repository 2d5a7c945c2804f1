use pitwall_fetch::{Fetcher, Timeouts};

use super::*;
use crate::extract::ExtractConfig;

const CLUB: &str = "# by mail\nname = \"club\"\nkind = \"static\"\nfeed = \"World feed\"\n\
                    url = \"https://club.example/live.m3u8\"\n\
                    headers = { Authorization = \"Basic YTpi\" }\n";

fn source_files(folder: &tempfile::TempDir, is_editable: bool) -> SourceFiles {
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
    let runner = Arc::new(ExtractionRunner::new(fetcher, &ExtractConfig::default()));
    let fixed = ReadOnlySource {
        name: "main".to_owned(),
        kind: "m3u",
        location: "/etc/pitwall.toml:12".to_owned(),
    };
    let folder = Some(folder.path().join("sources"));
    let sources = SourceFileLocations { folder, fixed: vec![fixed] };
    let files = EditableFiles { sources, overrides: None, is_editable };
    SourceFiles::new(watch::Sender::new(Arc::new(files)).subscribe(), runner)
}

fn draft(json: Json) -> SourceDraft {
    serde_json::from_value(json).unwrap()
}

fn at(version: &str) -> Precondition {
    let value = format!("\"{version}\"").parse().unwrap();
    let headers = http::HeaderMap::from_iter([(http::header::IF_MATCH, value)]);
    Precondition::of_headers(&headers).unwrap()
}

#[test]
fn a_secret_is_masked_and_kept_while_other_keys_change() {
    let folder = tempfile::tempdir().unwrap();
    let files = source_files(&folder, true);
    let new = draft(serde_json::json!({ "text": CLUB }));
    let (saved, is_new) = files.save("club", &new, &Precondition::Absent).unwrap();
    assert!(is_new && !saved.text.contains("YTpi"), "{}", saved.text);
    assert_eq!(files.read("club").unwrap(), saved);
    let patch = draft(serde_json::json!({ "patch": { "feed": "Pit lane" } }));
    let edited = saved.text.replace("World feed", "Pit lane");
    for change in [patch, draft(serde_json::json!({ "text": edited }))] {
        let version = files.read("club").unwrap().version;
        let (_, is_new) = files.save("club", &change, &at(&version)).unwrap();
        let stored = fs::read_to_string(folder.path().join("sources/club.toml")).unwrap();
        assert!(!is_new);
        assert_eq!(stored, CLUB.replace("World feed", "Pit lane"));
    }
    let list = files.list();
    let names: Vec<_> = list.sources.iter().map(|one| (&*one.name, one.file.as_deref())).collect();
    assert_eq!(names, [("main", None), ("club", Some("club"))]);
    let version = files.read("club").unwrap().version;
    files.remove("club", &at(&version)).unwrap();
    assert_eq!(files.read("club"), Err(FileError::Unknown("club".to_owned())));
}

#[test]
fn what_cannot_be_saved_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = source_files(&folder, true);
    let text = |text: String| draft(serde_json::json!({ "text": text }));
    let club = text(CLUB.to_owned());
    let (saved, _) = files.save("club", &club, &Precondition::Absent).unwrap();
    let location = |line: u32| format!("{}:{line}: ", saved.location);
    let other = |name: &str| text(CLUB.replace("\"club\"", &format!("{name:?}")));
    for (file, draft, precondition, expected) in [
        ("club", club.clone(), Precondition::Absent, "Changed".to_owned()),
        ("club", club.clone(), at("0"), "Changed".to_owned()),
        ("new", other("new"), at(&saved.version), "Changed".to_owned()),
        ("new", other("club"), Precondition::Absent, "NameTaken".to_owned()),
        ("new", other("main"), Precondition::Absent, "NameTaken".to_owned()),
        ("../club", club.clone(), Precondition::Absent, "BadName".to_owned()),
        ("Club", club.clone(), Precondition::Absent, "BadName".to_owned()),
        (
            "new",
            text(CLUB.replace("https://", "")),
            Precondition::Absent,
            format!(
                "{}url: bad URL: not an absolute URL",
                location(5).replace("club.toml", "new.toml")
            ),
        ),
        (
            "club",
            text(CLUB.replace("Basic YTpi", "masked-000000000000")),
            at(&saved.version),
            "headers.Authorization: a mask of no secret".to_owned(),
        ),
        (
            "club",
            draft(serde_json::json!({ "patch": { "url": null } })),
            at(&saved.version),
            "url".to_owned(),
        ),
        ("club", text("name = ".to_owned()), at(&saved.version), location(1)),
        (
            "club",
            text("[[source]]\n".to_owned()),
            at(&saved.version),
            "leave [[source]]".to_owned(),
        ),
    ] {
        let error = files.save(file, &draft, &precondition).unwrap_err();
        let shown = match &error {
            FileError::Invalid(invalid) => invalid.to_string(),
            other => format!("{other:?}"),
        };
        assert!(shown.contains(&expected), "{expected}: {shown}");
    }
    assert_eq!(fs::read_to_string(&saved.location).unwrap(), CLUB);
    assert_eq!(fs::read_dir(folder.path().join("sources")).unwrap().count(), 1);
    let read_only = source_files(&folder, false);
    let refused = read_only.save("club", &club, &at(&saved.version)).unwrap_err();
    assert!(matches!(refused, FileError::ReadOnly(_)));
    assert!(!read_only.list().editable);
}

#[test]
fn a_check_says_what_would_keep_a_source_from_working() {
    let folder = tempfile::tempdir().unwrap();
    let files = source_files(&folder, true);
    let lan = CLUB.replace("https://club.example", "http://192.168.1.9:8080");
    let checked = files.check("club", &draft(serde_json::json!({ "text": lan }))).unwrap();
    assert_eq!((&*checked.name, &*checked.kind), ("club", "static"));
    assert!(checked.warnings[0].contains("allow_private"), "{:?}", checked.warnings);
    assert_eq!(checked.settings["feed"], "World feed");
    assert!(!folder.path().join("sources").exists(), "nothing is written");
}
