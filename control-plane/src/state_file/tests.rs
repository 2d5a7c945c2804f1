use super::*;

fn temporary_state_file() -> (tempfile::TempDir, StateFile) {
    let directory = tempfile::tempdir().unwrap();
    let file = StateFile::new(directory.path().join("state"), "seasons", 2);
    (directory, file)
}

fn load_season(file: &StateFile) -> Option<String> {
    file.load()
}

#[test]
fn what_is_saved_is_loaded_and_what_is_damaged_is_not() {
    let (_directory, file) = temporary_state_file();
    assert_eq!(load_season(&file), None);
    file.save(&"2025").unwrap();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(file.path()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(load_season(&file).as_deref(), Some("2025"));
    file.save(&"2026").unwrap();
    assert_eq!(load_season(&file).as_deref(), Some("2026"));

    let whole = fs::read_to_string(file.path()).unwrap();
    for (name, damaged) in [
        ("cut", whole.split_at(whole.len() / 2).0.to_owned()),
        ("edited", whole.replace("2026", "2027")),
        ("empty", String::new()),
        ("from the future", whole.replace("\"format\":2", "\"format\":3")),
    ] {
        fs::write(file.path(), damaged).unwrap();
        assert_eq!(load_season(&file).as_deref(), Some("2025"), "{name}: the previous one");
    }
    fs::remove_file(file.previous_path()).unwrap();
    assert_eq!(load_season(&file), None);
}

/// Two control planes on one volume: there is a whole file at every moment, and no temporary file
/// is left.
#[test]
fn writers_do_not_tear_each_others_files() {
    let (_directory, file) = temporary_state_file();
    file.save(&"2026").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            // A writer may fail because another one moved the file; that is no damage.
            scope.spawn(|| (0..50).for_each(|_| drop(file.save(&"2026"))));
        }
        for _ in 0..200 {
            let read = [file.path(), file.previous_path()].map(|path| file.read::<String>(&path));
            for one in read {
                assert!(
                    !matches!(one, Err(StateFileError::Json(_) | StateFileError::Checksum)),
                    "torn"
                );
            }
        }
    });
    file.save(&"2026").unwrap();
    assert_eq!(load_season(&file).as_deref(), Some("2026"));
    let names = fs::read_dir(file.directory.path()).unwrap();
    let mut names: Vec<_> = names.map(|one| one.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["seasons.json", "seasons.previous.json"]);
}

#[test]
fn a_disk_that_cannot_be_written_keeps_the_last_one() {
    let (directory, file) = temporary_state_file();
    file.save(&"2026").unwrap();
    let nowhere = StateFile::new(directory.path().join("state/seasons.json"), "seasons", 2);
    assert!(nowhere.save(&"2027").is_err());
    assert_eq!(load_season(&file).as_deref(), Some("2026"));
}
