use super::*;

fn saved(season: &str) -> Saved {
    let schedule = Schedule { season: Some(season.to_owned()), ..Schedule::default() };
    Saved { schedule, opinions: Vec::new() }
}

fn season(snapshot: &Snapshot) -> Option<String> {
    snapshot.load().and_then(|saved| saved.schedule.season)
}

fn snapshot() -> (tempfile::TempDir, Snapshot) {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = Snapshot::new(directory.path().join("state"));
    (directory, snapshot)
}

#[test]
fn what_is_saved_is_loaded_and_what_is_damaged_is_not() {
    let (_directory, snapshot) = snapshot();
    assert_eq!(season(&snapshot), None);
    snapshot.save(&saved("2025")).unwrap();
    assert_eq!(season(&snapshot).as_deref(), Some("2025"));
    snapshot.save(&saved("2026")).unwrap();
    assert_eq!(season(&snapshot).as_deref(), Some("2026"));

    let whole = fs::read_to_string(snapshot.path()).unwrap();
    for (name, damaged) in [
        ("cut", whole.split_at(whole.len() / 2).0.to_owned()),
        ("edited", whole.replace("2026", "2027")),
        ("empty", String::new()),
        ("from the future", whole.replace("\"format\":2", "\"format\":3")),
    ] {
        fs::write(snapshot.path(), damaged).unwrap();
        assert_eq!(season(&snapshot).as_deref(), Some("2025"), "{name}: the previous one");
    }
    fs::remove_file(snapshot.previous()).unwrap();
    assert_eq!(season(&snapshot), None);
}

/// Two control planes on one volume: every moment has a whole file, and nothing is left lying.
#[test]
fn writers_do_not_tear_each_others_files() {
    let (_directory, snapshot) = snapshot();
    snapshot.save(&saved("2026")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            // One may find that the other moved the file away under it, and says so.
            scope.spawn(|| (0..50).for_each(|_| drop(snapshot.save(&saved("2026")))));
        }
        for _ in 0..200 {
            let read = [snapshot.path(), snapshot.previous()].map(|path| read(&path));
            for one in read {
                assert!(!matches!(one, Err(Unusable::Json(_) | Unusable::Checksum)), "torn");
            }
        }
    });
    snapshot.save(&saved("2026")).unwrap();
    assert_eq!(season(&snapshot).as_deref(), Some("2026"));
    let names = fs::read_dir(&snapshot.directory).unwrap();
    let mut names: Vec<_> = names.map(|one| one.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["schedule.json", "schedule.previous.json"]);
}

#[test]
fn a_disk_that_cannot_be_written_keeps_the_last_one() {
    let (directory, snapshot) = snapshot();
    snapshot.save(&saved("2026")).unwrap();
    let nowhere = Snapshot::new(directory.path().join("state/schedule.json"));
    assert!(nowhere.save(&saved("2027")).is_err());
    assert_eq!(season(&snapshot).as_deref(), Some("2026"));
}
