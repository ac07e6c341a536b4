use super::*;

fn ok<T: FromStr<Err = Wrong> + ToString>(typed: &str) -> bool {
    typed.parse::<T>().is_ok()
}

#[test]
fn a_name_is_a_part_of_a_host_name() {
    for good in ["a", "hello", "my-api", "v2", &"a".repeat(40), " hello "] {
        assert!(ok::<Name>(good), "{good}");
    }
    for bad in ["", "Hello", "1a", "-a", "a-", "a--b", "a_b", "ä", "a b", "a.b", &"a".repeat(41)] {
        assert!(!ok::<Name>(bad), "{bad}");
    }
}

#[test]
fn an_image_reference_never_looks_like_an_option_or_a_path() {
    let digest = format!("sha256:{}", "0".repeat(64));
    for good in [
        "hello",
        "hello:1.0.0",
        "team/api:v1",
        "localhost:5000/team/api:v1",
        "ghcr.io/a/b",
        &digest,
        &format!("hello@{digest}"),
    ] {
        assert!(ok::<ImageReference>(good), "{good}");
    }
    for bad in [
        "",
        "-v",
        "--help",
        "../x",
        "Hello",
        "a b",
        "hello:",
        "hello:-x",
        "a//b",
        "sha256:12",
        "hello@sha256:1",
        "reg:99999/a",
        "a\nb",
        "$(id)",
    ] {
        assert!(!ok::<ImageReference>(bad), "{bad}");
    }
}

#[test]
fn the_tag_of_an_image_is_not_its_registrys_port() {
    let tag = |typed: &str| typed.parse::<ImageReference>().expect("good").tag().map(str::to_owned);

    assert_eq!(tag("hello:1.0.0").as_deref(), Some("1.0.0"));
    assert_eq!(tag("localhost:5000/api"), None);
    assert_eq!(tag(&format!("sha256:{}", "a".repeat(64))), None);
}

#[test]
fn a_host_name_is_normalized_and_has_no_port() {
    assert_eq!("API.Example.ORG.".parse::<HostName>().expect("good").as_str(), "api.example.org");
    for bad in ["", "a..b", "http://a", "a:80", "-a.b", "a/b", "a_b", &"a".repeat(64)] {
        assert!(!ok::<HostName>(bad), "{bad}");
    }
}

#[test]
fn our_own_variables_can_not_be_set_by_a_configuration() {
    assert!(ok::<VariableName>("DATABASE_URL"));
    for bad in ["PILOTHOUSE_SLOT", "1A", "A-B", "", "A=B"] {
        assert!(!ok::<VariableName>(bad), "{bad}");
    }
}

#[test]
fn nobody_is_called_like_the_system() {
    assert!(ok::<PersonName>("Ana"));
    assert!(ok::<PersonName>("José Müller"));
    for bad in ["", "engine", "System", "nobody", "Machine", "a  b", "a<b", "a\u{202e}b"] {
        assert!(!ok::<PersonName>(bad), "{bad}");
    }
}
