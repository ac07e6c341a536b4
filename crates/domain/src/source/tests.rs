use super::*;

#[test]
fn a_ref_is_never_an_option_or_a_way_out() {
    for typed in [
        "--upload-pack=touch /tmp/x",
        "-b",
        "a b",
        "a..b",
        "a/-b",
        "refs/notes/x",
        "refs/heads/--all",
        "a@{1}",
        "x.lock",
        "/a",
        "a/",
        "a//b",
        "",
        "a\nb",
        "a:b",
        "a^",
        "~a",
        "a*",
        "@",
    ] {
        assert!(typed.parse::<GitRef>().is_err(), "{typed}");
    }
}

#[test]
fn a_ref_is_read_as_it_is_shown() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (typed, short) in [
        ("refs/heads/main", "main"),
        ("refs/tags/v1.0", "v1.0"),
        (commit, "01234567"),
        ("feature/a-b", "feature/a-b"),
    ] {
        let read: GitRef = typed.parse().expect("good");
        assert_eq!(read.to_string(), typed);
        assert_eq!(read.short(), short);
    }
    assert!(matches!("abcdef".parse(), Ok(GitRef::Named(_))));
}

#[test]
fn only_https_and_absolute_paths_are_addresses() {
    for typed in [
        "http://h/a",
        "ssh://git@h/a",
        "git@h:a/b",
        "ext::sh -c id",
        "https://user:token@h/a",
        "https://h",
        "https://h/",
        "https://h/../a",
        "https://h/a b",
        "https://-h/a",
        "https://h:0/a",
        "https://h:x/a",
        "a/b",
        "/a/../b",
        "/",
        "file://a/b",
        "https://h/-o",
        "https://h/a\nb",
        "https://[::1/a",
        "ftp://h/a",
    ] {
        assert!(typed.parse::<GitUrl>().is_err(), "{typed}");
    }
    for typed in [
        "https://git.example.org/team/api.git",
        "https://h:8443/a",
        "https://[fe80::1]/a",
        "/srv/git/api.git",
    ] {
        assert_eq!(typed.parse::<GitUrl>().expect(typed).to_string(), typed);
    }
    assert_eq!(
        "https://H.example.org:443/team/api.git/".parse::<GitUrl>().expect("good").name(),
        "api"
    );
}

#[test]
fn a_folder_and_a_file_stay_inside() {
    for typed in
        ["..", "a/../b", "/etc", "a//b", "-x", "a/-x", ".git", "a/.git/config", "a\\b", "C:x"]
    {
        assert!(typed.parse::<Folder>().is_err(), "{typed}");
        assert!(typed.parse::<FilePath>().is_err(), "{typed}");
    }
    assert!("./".parse::<Folder>().expect("the root").is_root());
    assert_eq!("./services/api/".parse::<Folder>().expect("good").as_str(), "services/api");
    assert!("".parse::<FilePath>().is_err());
}

#[test]
fn the_default_comes_first_and_the_newest_version_too() {
    let commit: Commit = "0123456789abcdef0123456789abcdef01234567".parse().expect("good");
    let of = |names: &[&str]| -> Vec<Offered> {
        names
            .iter()
            .map(|name| Offered { name: name.parse().expect("good"), commit: commit.clone() })
            .collect()
    };
    let names = |list: &[Offered]| list.iter().map(|one| one.name.to_string()).collect::<Vec<_>>();

    let refs = Refs::new(
        "main".parse().ok(),
        of(&["a", "main", "b"]),
        of(&["v1.9.0", "v1.10.0-rc1", "v1.10.0", "odd"]),
    );

    assert_eq!(names(&refs.branches), ["main", "a", "b"]);
    assert_eq!(names(&refs.tags), ["v1.10.0", "v1.10.0-rc1", "v1.9.0", "odd"]);
}

#[test]
fn a_recipe_tells_its_stages_and_what_it_asks_for() {
    let outline = recipe::Outline::of(
        "# syntax=x\nARG RUST=1.95\nFROM --platform=linux/amd64 rust:${RUST} AS Build\nARG A B=\"two\"\nRUN a \\\n  b\nfrom scratch\nCOPY --from=build /a /a\nFROM build\n",
    );

    assert_eq!(outline.stages.iter().map(StageName::as_str).collect::<Vec<_>>(), ["build"]);
    assert_eq!(outline.stage_count, 3);
    assert_eq!(outline.bases, ["rust:${RUST}"]);
    let arguments: Vec<_> = outline
        .arguments
        .iter()
        .map(|(name, default)| (name.as_str(), default.as_deref()))
        .collect();
    assert_eq!(arguments, [("RUST", Some("1.95")), ("A", None), ("B", Some("two"))]);
}

#[test]
fn the_nearest_recipe_is_guessed_and_the_guess_is_explained() {
    let guess = |folder: &str, files: &[&str]| {
        let files = files.iter().map(|file| file.parse().expect("good")).collect();
        RecipeGuess::choose(&folder.parse().expect("good"), files, |_| {
            "FROM a AS b\nFROM b\n".to_owned()
        })
    };

    let near = guess("", &["services/api/Containerfile", "deep/er/er/Dockerfile"]);
    let recipe = near.recipe.expect("one");
    assert_eq!(recipe.folder.as_str(), "services/api");
    assert_eq!(recipe.file.expect("named").as_str(), "Containerfile");
    assert!(
        near.because.contains("2 stages") && near.because.contains("1 more was"),
        "{}",
        near.because
    );

    let usual =
        guess("api", &["Dockerfile", "api/Dockerfile.dev", "api/Dockerfile"]).recipe.expect("one");
    assert_eq!((usual.folder.as_str(), usual.file), ("api", None));

    assert_eq!(guess("api", &["apio/Dockerfile"]).recipe, None);
    assert!(guess("", &[]).because.contains("No Dockerfile"));
}
