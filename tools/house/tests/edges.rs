//! Compares what `cargo metadata` says with the plan of the house.
//!
//! Cargo lets any crate use any other as long as there is no circle, so the plan has to be
//! held by somebody. `deny.toml` holds which crates of others may be used where.

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Each crate of ours, and those of ours that it may use. Tests may use more.
const EDGES: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("store", &["domain"]),
    ("targets", &["domain"]),
    ("vault", &[]),
    ("control", &["domain", "store", "vault"]),
    ("engine", &["domain", "store", "targets", "vault"]),
    ("router", &["domain"]),
    ("probe", &["domain"]),
    ("app", &["domain", "control"]),
    ("server", &["app", "control", "domain", "engine", "store", "targets", "vault"]),
    // Not part of the product.
    ("bundle", &[]),
    ("hello", &[]),
    ("house", &[]),
];

/// All that `domain` may use of others: what is true needs no clock, no dice and no wire. It is
/// compiled for the browser too.
const BELOW_DOMAIN: &[&str] = &["serde", "serde_json", "sha2", "sqlx", "thiserror", "time", "uuid"];

struct Dependency {
    name: String,
    optional: bool,
    ours: bool,
}

/// What each crate of ours uses outside its tests.
fn used() -> BTreeMap<String, Vec<Dependency>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test, so it can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().map(|package| (text(&package["name"]), dependencies(package))).collect()
}

fn dependencies(package: &Value) -> Vec<Dependency> {
    let all = package["dependencies"].as_array().expect("dependencies");
    all.iter()
        .filter(|dependency| dependency["kind"] != "dev")
        .map(|dependency| Dependency {
            name: text(&dependency["name"]),
            optional: dependency["optional"] == true,
            ours: dependency["path"].is_string(),
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

#[test]
fn every_crate_of_ours_is_in_the_plan() {
    let there: BTreeSet<String> = used().into_keys().collect();
    let planned: BTreeSet<String> = EDGES.iter().map(|(name, _)| (*name).to_owned()).collect();

    assert_eq!(there, planned);
}

#[test]
fn a_crate_uses_only_those_below_it() {
    let used = used();

    for (name, allowed) in EDGES {
        for dependency in used[*name].iter().filter(|dependency| dependency.ours) {
            let below = allowed.contains(&dependency.name.as_str());
            assert!(below, "{name} must not use {}: see docs/ARCHITECTURE.md", dependency.name);
        }
    }
}

#[test]
fn the_browser_is_given_nothing_but_domain() {
    for dependency in used()["app"].iter().filter(|dependency| dependency.ours) {
        let on_the_server_only = dependency.optional || dependency.name == "domain";
        assert!(on_the_server_only, "app must take {} under `ssr` only", dependency.name);
    }
}

#[test]
fn domain_knows_no_clock_no_dice_and_no_wire() {
    for dependency in &used()["domain"] {
        assert!(
            BELOW_DOMAIN.contains(&dependency.name.as_str()),
            "domain must not use {}",
            dependency.name
        );
        assert!(
            dependency.name != "sqlx" || dependency.optional,
            "sqlx must be optional in domain"
        );
    }
}
