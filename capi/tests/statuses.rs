//! Every status that the header promises of a function was seen by `tests/c/statuses.c`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "test code may panic, and says what it skips"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use support::{program, root, run, set_up, text};

/// Functions that fail in no way and note nothing.
const WITHOUT_STATUS: [&str; 5] = [
    "syna_last_error",
    "syna_last_error_message",
    "syna_error_name",
    "syna_version",
    "syna_abi_version",
];

/// The words of the header for several statuses.
fn words(header: &str) -> BTreeMap<String, Vec<String>> {
    let mut words = BTreeMap::new();
    let mut current: Option<String> = None;
    let from = header.find(" *     PATH ").expect("the words stand in the header");
    for line in header.get(from..).unwrap().lines().take_while(|line| line.trim() != "*") {
        let line = line.trim_start_matches(" *").trim();
        let (word, rest) = match line.split_once("  ") {
            Some((word, rest)) if word.chars().all(|c| c.is_ascii_uppercase()) => {
                (Some(word), rest)
            }
            _ => (None, line),
        };
        if let Some(word) = word {
            current = Some(word.to_owned());
        }
        // What stands behind a semicolon are explanations.
        let statuses = rest.split(';').next().unwrap();
        let list: &mut Vec<String> = words.entry(current.clone().unwrap()).or_default();
        if word.is_some()
            || !list.is_empty() && statuses.chars().next().unwrap().is_ascii_uppercase()
        {
            list.extend(names(statuses));
        }
    }
    words
}

/// The names of statuses in a text.
fn names(text: &str) -> Vec<String> {
    let is_name =
        |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(is_name)
        .map(str::to_owned)
        .collect()
}

/// What the header promises: function and status.
fn promised(header: &str) -> BTreeSet<(String, String)> {
    let words = words(header);
    assert_eq!(words.get("HANDLE").unwrap(), &["INVALID_ARGUMENT", "CLOSED", "FORKED"]);
    let mut promised = BTreeSet::new();
    let mut comment = String::new();
    let mut declaration = String::new();
    for line in header.lines() {
        let line = line.trim();
        if line == "/**" {
            comment.clear();
            declaration.clear();
        } else if let Some(text) = line.strip_prefix("* ") {
            comment.push_str(text);
            comment.push(' ');
        } else {
            declaration.push_str(line);
            let Some((before, _)) = declaration.split_once('(') else { continue };
            let name = before.rsplit([' ', '*']).next().unwrap_or_default().to_owned();
            if !name.starts_with("syna_") || !line.ends_with(';') {
                continue;
            }
            declaration.clear();
            let Some((_, statuses)) = comment.rsplit_once("Status") else {
                assert!(WITHOUT_STATUS.contains(&name.as_str()), "{name} has no list of statuses");
                continue;
            };
            // The list ends with the sentence.
            let statuses = statuses.split(". ").next().unwrap_or_default();
            let statuses = statuses.split_once(':').map_or("", |(_, list)| list);
            assert!(!statuses.is_empty(), "{name} has no list of statuses");
            if statuses.contains("the offset") || statuses.contains("the kind") {
                promised.insert((name.clone(), "SUCCESS".to_owned()));
            }
            for status in names(statuses) {
                for status in words.get(&status).unwrap_or(&vec![status.clone()]) {
                    promised.insert((name.clone(), status.clone()));
                }
            }
            promised.insert((name, "INTERNAL_PANIC".to_owned()));
            comment.clear();
        }
    }
    promised
}

#[test]
fn every_status_of_every_function_was_seen() {
    let header = std::fs::read_to_string(root().join("include/synadb.h")).unwrap();
    let promised = promised(&header);
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let Some(compiled) = program("tests/c/statuses.c").compile(&[], folder.path()) else { return };
    let output = text(run(set_up(&mut Command::new(compiled), &files)).stdout);
    let mut seen = BTreeSet::new();
    for line in output.lines() {
        let Some(line) = line.strip_prefix("observed ") else { continue };
        let (name, status) = line.split_once(' ').unwrap();
        let status = status.trim_start_matches("SYNA_").trim_start_matches("ERR_");
        if status != "0" {
            seen.insert((name.to_owned(), status.to_owned()));
        }
    }
    let unseen: Vec<_> = promised.difference(&seen).collect();
    let not_promised: Vec<_> = seen.difference(&promised).collect();
    let functions: BTreeSet<_> = unseen.iter().map(|(name, _)| name).collect();
    println!("abi_calls_untested {}", functions.len());
    assert!(
        unseen.is_empty() && not_promised.is_empty(),
        "promised and not seen: {unseen:#?}\nseen and not promised: {not_promised:#?}"
    );
}
