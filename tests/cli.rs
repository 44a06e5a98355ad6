//! The `syna` binary from the outside: what it prints, where, and with which exit code.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use synadb::{Atom, SynaDB};
use tempfile::TempDir;

const WEATHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/nyc-weather-2013.csv");

/// A folder of its own, in which commands run.
struct Folder(TempDir);

struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syna"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn syna<S: AsRef<OsStr>>(&self, args: &[S]) -> Outcome {
        let output = self.command(args).output().unwrap();
        Outcome {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Standard output of a command that must succeed.
    fn ok<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        let outcome = self.syna(args);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome.stdout
    }

    /// Standard error of a command that must fail with this code and print no result.
    fn fails<S: AsRef<OsStr>>(&self, code: i32, args: &[S]) -> String {
        let outcome = self.syna(args);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{}", outcome.stderr);
        assert!(!outcome.stderr.is_empty());
        outcome.stderr
    }

    /// A database with a point of every kind.
    fn with_every_kind() -> Self {
        let folder = Folder::new();
        let db = SynaDB::new(folder.path("db.syna")).unwrap();
        let points = [
            ("float", 1, Atom::Float(1.5)),
            ("float", 2, Atom::Float(f64::NAN)),
            ("float", 3, Atom::Float(f64::NEG_INFINITY)),
            ("float", 4, Atom::Float(-0.0)),
            ("float", 5, Atom::Float(5e-324)),
            ("float", 6, Atom::Float(1e300)),
            ("int", i64::MIN, Atom::Int(i64::MIN)),
            ("int", i64::MAX, Atom::Int(i64::MAX)),
            ("mixed", 0, Atom::Null),
            ("mixed", 0, Atom::Text(String::new())),
            ("mixed", 0, Atom::Bytes(vec![])),
            ("mixed", -1, Atom::Bytes(vec![0, 255])),
            ("text, \"quoted\"", 7, Atom::Text("line\nbreak, \"quote\" \u{1b}[2J ä 🦀".into())),
        ];
        for (key, timestamp, value) in points {
            db.append_at(key, timestamp, value).unwrap();
        }
        db.close().unwrap();
        folder
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

#[test]
fn put_guesses_the_kind_and_says_what_it_stored() {
    let folder = Folder::new();
    for (value, kind) in [("21", "int"), ("21.5", "float"), ("-3", "int"), ("warm", "text")] {
        let outcome = folder.syna(&["put", "db.syna", "k", value, "--at", "2013-01-01"]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""));
        assert_eq!(outcome.stderr, format!("k: {kind} {value} at 2013-01-01T00:00:00Z\n"));
        assert_eq!(folder.ok(&["get", "db.syna", "k"]), format!("{value}\n"));
    }
    for (value, kind, shown) in [
        ("21", "float", "21.0"),
        ("21", "text", "21"),
        ("00FF", "bytes", "00ff"),
        ("null", "null", "null"),
        ("inf", "float", "inf"),
    ] {
        folder.ok(&["put", "-q", "db.syna", "k", value, "--type", kind]);
        assert_eq!(folder.ok(&["get", "db.syna", "k"]), format!("{shown}\n"));
    }
}

#[test]
fn put_refuses_what_does_not_fit() {
    let folder = Folder::new();
    for args in [
        ["warm", "--type", "float"],
        ["1.5", "--type", "int"],
        ["0", "--type", "bytes"],
        ["1", "--at", "noon"],
    ] {
        folder.fails(2, &[&["put", "db.syna", "k"], &args[..]].concat());
    }
    folder.fails(2, &["put", "db.syna", "k", "9223372036854775808"]);
    assert!(!folder.path("db.syna").exists());
    assert!(folder.fails(1, &["put", "db.syna", "", "1"]).contains("must not be empty"));
    let long = "k".repeat(65_536);
    assert!(folder.fails(1, &["put", "db.syna", &long, "1"]).contains("65535"));
}

#[test]
fn get_answers_for_now_and_for_then() {
    let folder = Folder::new();
    for (at, value) in [("2013-01-01", "1"), ("2013-01-03", "3"), ("2013-01-02", "2")] {
        folder.ok(&["put", "-q", "db.syna", "k", value, "--at", at]);
    }
    assert_eq!(folder.ok(&["get", "db.syna", "k"]), "2\n");
    assert_eq!(folder.ok(&["get", "db.syna", "k", "--at", "2013-01-03T00:00:00Z"]), "3\n");
    assert_eq!(folder.ok(&["get", "db.syna", "k", "--at", "2013-01-01T23:59:59-05:00"]), "2\n");
    let early = folder.fails(1, &["get", "db.syna", "k", "--at", "2012-12-31"]);
    assert!(early.contains("no point at or before 2012-12-31T00:00:00Z"), "{early}");
    assert!(folder.fails(1, &["get", "db.syna", "x"]).contains("there is no key \"x\""));

    let point = json(&folder.ok(&["get", "db.syna", "k", "--format", "json"]));
    assert_eq!(point["timestamp"], "2013-01-02T00:00:00Z");
    assert_eq!((&point["kind"], &point["value"]), (&"int".into(), &2.into()));
    let csv = folder.ok(&["get", "db.syna", "k", "--format", "csv"]);
    assert_eq!(csv, "key,timestamp,kind,value\nk,2013-01-02T00:00:00Z,int,2\n");
}

#[test]
fn history_selects_by_row_and_by_time() {
    let folder = Folder::new();
    let db = SynaDB::new(folder.path("db.syna")).unwrap();
    for i in 0..10_i64 {
        db.append_at("k", i * 1_000_000, i).unwrap();
    }
    db.close().unwrap();
    let values = |options: &[&str]| -> Vec<i64> {
        let args = [&["history", "db.syna", "k", "--format", "jsonl"], options].concat();
        json_lines(&folder.ok(&args)).iter().map(|row| row["value"].as_i64().unwrap()).collect()
    };
    assert_eq!(values(&[]), (0..10).collect::<Vec<_>>());
    assert_eq!(values(&["--rows", "2..4"]), [2, 3]);
    assert_eq!(values(&["--rows", "8.."]), [8, 9]);
    assert!(values(&["--rows", "20..30"]).is_empty());
    assert_eq!(values(&["--last", "2"]), [8, 9]);
    assert_eq!(values(&["--last", "200"]).len(), 10);
    assert_eq!(values(&["--since", "7000000"]), [7, 8, 9]);
    assert_eq!(values(&["--until", "1970-01-01 00:00:02"]), [0, 1]);
    assert_eq!(values(&["--since", "1970-01-01T00:00:02Z", "--until", "4000000"]), [2, 3]);
    assert!(values(&["--since", "4000000", "--until", "2000000"]).is_empty());
    assert_eq!(values(&["--last", "5", "--until", "7000000"]), [5, 6]);
    folder.fails(1, &["history", "db.syna", "x"]);
    folder.fails(2, &["history", "db.syna", "k", "--rows", "4..2"]);
}

#[test]
fn every_format_prints_every_kind() {
    let folder = Folder::with_every_kind();
    for key in ["float", "int", "mixed", "text, \"quoted\""] {
        let rows = json(&folder.ok(&["history", "db.syna", key, "--format", "json"]));
        let lines = json_lines(&folder.ok(&["history", "db.syna", key, "--format", "jsonl"]));
        assert_eq!(rows.as_array().unwrap(), &lines);
        let table = folder.ok(&["history", "db.syna", key]);
        assert_eq!(table.lines().count(), lines.len() + 1);
        assert!(!table.contains('\u{1b}'), "control characters reach the terminal");
    }
    let floats = json(&folder.ok(&["history", "db.syna", "float", "--format", "json"]));
    let values: Vec<_> = floats.as_array().unwrap().iter().map(|row| &row["value"]).collect();
    assert_eq!(values[0], 1.5);
    assert_eq!((values[1], values[2]), (&"NaN".into(), &"-inf".into()));
    assert_eq!(values[4], 5e-324);
    let ints = folder.ok(&["history", "db.syna", "int", "--format", "csv"]);
    let (min, max) = (i64::MIN, i64::MAX);
    assert_eq!(ints, format!("timestamp,kind,value\n{min},int,{min}\n{max},int,{max}\n"));
}

#[test]
fn keys_are_listed_by_pattern() {
    let folder = Folder::new();
    for key in ["JFK/temp", "JFK/wind", "LGA/temp"] {
        folder.ok(&["put", "-q", "db.syna", key, "1"]);
    }
    assert_eq!(folder.ok(&["keys", "db.syna"]), "JFK/temp\nJFK/wind\nLGA/temp\n");
    assert_eq!(folder.ok(&["keys", "db.syna", "*/temp"]), "JFK/temp\nLGA/temp\n");
    assert_eq!(folder.ok(&["keys", "db.syna", "nothing"]), "");
    assert_eq!(folder.ok(&["keys", "db.syna", "nothing", "--format", "json"]), "[]\n");
    let keys = json(&folder.ok(&["keys", "db.syna", "L*", "--format", "json"]));
    assert_eq!(keys, serde_json::json!([{"key": "LGA/temp"}]));
    assert!(folder.fails(1, &["keys", "db.syna", "[a"]).contains("pattern"));
}

#[test]
fn info_describes_the_file_and_its_keys() {
    let folder = Folder::with_every_kind();
    let file = json(&folder.ok(&["info", "db.syna", "--format", "json"]));
    assert_eq!((&file["keys"], &file["rows"]), (&4.into(), &13.into()));
    assert!(file["durable_offset"].as_u64().unwrap() > 0);

    let int = json(&folder.ok(&["info", "db.syna", "int", "--format", "json"]));
    assert_eq!((&int["min"], &int["max"]), (&i64::MIN.into(), &i64::MAX.into()));
    let all = json(&folder.ok(&["info", "db.syna", "*", "--format", "json"]));
    assert_eq!(all.as_array().unwrap().len(), 4);
    assert_eq!(all[2]["kinds"], serde_json::json!(["null", "text", "bytes"]));
    assert_eq!((&all[2]["points"], &all[2]["mean"]), (&4.into(), &Value::Null));
    assert!(folder.ok(&["info", "db.syna", "*"]).contains("over time"));
    assert!(folder.ok(&["info", "db.syna", "int"]).contains('▁'));
    folder.fails(1, &["info", "db.syna", "nothing*"]);
}

#[test]
fn frame_puts_keys_side_by_side() {
    let folder = Folder::new();
    let db = SynaDB::new(folder.path("db.syna")).unwrap();
    for (key, second, value) in [("a", 0, 1.0), ("a", 60, 2.0), ("b", 30, 5.0)] {
        db.append_at(key, second * 1_000_000, value).unwrap();
    }
    db.append_at("c", 0, "text").unwrap();
    db.append_at("c", 30_000_000, 7_i64).unwrap();
    db.close().unwrap();
    let csv =
        |args: &[&str]| folder.ok(&[&["frame", "db.syna", "--format", "csv"][..], args].concat());
    let rows = "timestamp,a,b\n\
                1970-01-01T00:00:00Z,1.0,\n\
                1970-01-01T00:00:30Z,1.0,5.0\n\
                1970-01-01T00:01:00Z,2.0,5.0\n";
    assert_eq!(csv(&["a", "b"]), rows);
    assert_eq!(csv(&["[ab]"]), rows);
    let every = csv(&["b", "a", "--every", "1m", "--tolerance", "20s", "--fill", "-1"]);
    let rows = "timestamp,b,a\n\
                1970-01-01T00:00:00Z,-1.0,1.0\n\
                1970-01-01T00:01:00Z,-1.0,2.0\n";
    assert_eq!(every, rows);
    let mixed = csv(&["c", "--since", "0", "--until", "40000000", "--every", "20s"]);
    let rows = "timestamp,c\n\
                1970-01-01T00:00:00Z,text\n\
                1970-01-01T00:00:20Z,text\n";
    assert_eq!(mixed, rows);
    // Where one side is open, the points say where rows begin or end.
    let since = csv(&["a", "--since", "30000000", "--every", "30s", "--tolerance", "0s"]);
    let rows = "timestamp,a\n\
                1970-01-01T00:00:30Z,\n\
                1970-01-01T00:01:00Z,2.0\n";
    assert_eq!(since, rows);
    let until = csv(&["a", "--until", "30000000", "--every", "30s"]);
    assert_eq!(until, "timestamp,a\n1970-01-01T00:00:00Z,1.0\n");
    let ahead = csv(&["b", "--align", "forward", "--every", "30s"]);
    assert_eq!(ahead, "timestamp,b\n1970-01-01T00:00:30Z,5.0\n");
    folder.fails(1, &["frame", "db.syna", "a", "nothing*"]);
    folder.fails(1, &["frame", "db.syna", "a", "[ab]"]);
    folder.fails(1, &["frame", "db.syna", "c", "--fill", "0"]);
    folder.fails(2, &["frame", "db.syna", "a", "--tolerance", "0"]);
}

#[test]
fn a_key_that_looks_like_a_pattern_is_found_by_its_name() {
    let folder = Folder::new();
    for (key, value) in [("a*", "1"), ("ab", "2")] {
        folder.ok(&["put", "-q", "db.syna", key, value]);
    }
    let one = folder.ok(&["export", "db.syna", "a*", "--format", "jsonl"]);
    assert_eq!(json_lines(&one).len(), 1);
    let both = folder.ok(&["export", "db.syna", "?*", "--format", "jsonl"]);
    assert_eq!(json_lines(&both).len(), 2);
}

#[test]
fn an_export_is_imported_as_it_was() {
    let folder = Folder::with_every_kind();
    let csv = folder.ok(&["export", "db.syna"]);
    folder.ok(&["export", "db.syna", "-o", "out.csv"]);
    assert_eq!(fs::read_to_string(folder.path("out.csv")).unwrap(), csv);
    folder.ok(&["import", "--long", "copy.syna", "out.csv"]);
    assert_eq!(folder.ok(&["export", "copy.syna"]), csv);
    let lines = json_lines(&folder.ok(&["export", "db.syna", "--format", "jsonl"]));
    assert_eq!(lines.len(), 13);
    assert_eq!(lines[0]["key"], "float");
    assert_eq!(lines[8]["value"], Value::Null);

    let original = SynaDB::open_read_only(folder.path("db.syna")).unwrap();
    let copy = SynaDB::open_read_only(folder.path("copy.syna")).unwrap();
    let bits = |db: &SynaDB| -> Vec<u64> {
        db.get_history_floats("float").unwrap().iter().map(|value| value.to_bits()).collect()
    };
    assert_eq!(bits(&original), bits(&copy));
}

#[test]
fn an_export_never_overwrites_a_file() {
    let folder = Folder::with_every_kind();
    let before = fs::read(folder.path("db.syna")).unwrap();
    let stderr = folder.fails(1, &["export", "db.syna", "-o", "db.syna"]);
    assert!(stderr.contains("db.syna"), "{stderr}");
    assert_eq!(fs::read(folder.path("db.syna")).unwrap(), before);
    folder.fails(1, &["export", "db.syna", "-o", "no/such/folder.csv"]);
    folder.fails(1, &["export", "db.syna", "nothing*"]);
}

/// What the weather file holds, read by splitting lines, without the code under test.
fn weather_by_hand() -> BTreeMap<String, Vec<f64>> {
    let text = fs::read_to_string(WEATHER).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let mut histories = BTreeMap::<String, Vec<f64>>::new();
    for row in lines {
        for (name, cell) in header.iter().zip(&row).skip(2).filter(|(_, cell)| !cell.is_empty()) {
            let key = format!("{}/{name}", row[0]);
            histories.entry(key).or_default().push(cell.parse().unwrap());
        }
    }
    histories
}

#[test]
fn the_weather_is_imported_point_for_point() {
    let folder = Folder::new();
    let args = ["import", "w.syna", WEATHER, "--time", "time", "--key", "station"];
    let outcome = folder.syna(&args);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""));
    assert!(
        outcome.stderr.starts_with("26115 rows, 211061 points, 27 keys, 6 commits in "),
        "{}",
        outcome.stderr
    );
    let expected = weather_by_hand();
    let db = SynaDB::open_read_only(folder.path("w.syna")).unwrap();
    assert!(db.keys().unwrap().iter().eq(expected.keys()));
    for (key, values) in &expected {
        assert_eq!(&db.get_history_floats(key).unwrap(), values, "{key}");
    }
    let first = db.get_history_rows("EWR/temp", 0..1).unwrap();
    assert_eq!(first[0].timestamp, 1_357_020_000_000_000);
}

#[test]
fn an_empty_cell_is_nothing_or_a_null() {
    let folder = Folder::new();
    folder.write("rows.csv", "t,a,b\n1,1.5,\n2,,\n3,,x\n");
    folder.ok(&["import", "-q", "without.syna", "rows.csv", "--time", "t"]);
    folder.ok(&["import", "-q", "with.syna", "rows.csv", "--time", "t", "--nulls"]);
    let count = |file: &str, key: &str| {
        json(&folder.ok(&["info", file, key, "--format", "json"]))["points"].as_u64().unwrap()
    };
    assert_eq!((count("without.syna", "a"), count("without.syna", "b")), (1, 1));
    assert_eq!((count("with.syna", "a"), count("with.syna", "b")), (3, 3));
    let kinds = json(&folder.ok(&["info", "with.syna", "b", "--format", "json"]));
    assert_eq!(kinds["kinds"], serde_json::json!(["null", "text"]));
}

#[test]
fn keys_are_made_of_prefix_columns_and_name() {
    let folder = Folder::new();
    folder.write("rows.csv", "site;room;t;temp;note\nA;1;0;20.5;x\nB;2;0;21;y\n");
    let import = |db: &str, options: &[&str]| {
        let args = ["import", "-q", db, "rows.csv", "--time", "t", "--delimiter", ";"];
        folder.ok(&[&args[..], options].concat());
        folder.ok(&["keys", db])
    };
    let both = ["--key", "site", "--key", "room"];
    assert_eq!(import("a.syna", &both), "A/1/note\nA/1/temp\nB/2/note\nB/2/temp\n");
    let prefixed = ["--key", "room", "--value", "temp", "--prefix", "house/"];
    assert_eq!(import("b.syna", &prefixed), "house/1/temp\nhouse/2/temp\n");
    assert_eq!(import("c.syna", &["--key", "site", "--value", "temp", "--bare"]), "A\nB\n");
    assert_eq!(folder.ok(&["get", "c.syna", "B"]), "21.0\n");
    let bare = ["import", "d.syna", "rows.csv", "--delimiter", ";", "--time", "t", "--bare"];
    folder.fails(2, &[&bare[..], &["--key", "site"]].concat());
    folder.fails(2, &[&bare[..], &["--value", "temp"]].concat());
}

#[test]
fn a_column_is_what_its_first_filled_cell_is_unless_told() {
    let folder = Folder::new();
    folder.write("rows.csv", "t,n,id,word\n1,,1,\n2, 7 ,2,x\n3,8.5,3,5\n");
    let kinds = |db: &str, options: &[&str]| {
        folder.ok(&[&["import", "-q", db, "rows.csv", "--time", "t"], options].concat());
        let rows = json(&folder.ok(&["info", db, "*", "--format", "json"]));
        let kinds = rows.as_array().unwrap().iter().map(|row| row["kinds"][0].clone());
        kinds.map(|kind| kind.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds("a.syna", &[]), ["float", "float", "text"]);
    assert_eq!(kinds("b.syna", &["--type", "id=int"]), ["int", "float", "text"]);
    let mixed = ["--type", "text", "--type", "id=int"];
    assert_eq!(kinds("c.syna", &mixed), ["int", "text", "text"]);
    for wrong in ["x=int", "t=int", "complex"] {
        folder.fails(2, &["import", "d.syna", "rows.csv", "--time", "t", "--type", wrong]);
    }
    folder.write("big.csv", "t,id\n1,9007199254740993\n");
    let stderr = folder.fails(1, &["import", "e.syna", "big.csv", "--time", "t"]);
    assert!(stderr.contains("would be rounded") && stderr.contains("--type"), "{stderr}");
}

#[test]
fn a_bad_cell_names_its_place_and_nothing_of_its_batch_is_written() {
    let folder = Folder::new();
    let rows: String = (0..10).map(|i| format!("{i},{i}.5\n")).collect();
    folder.write("rows.csv", format!("t,v\n{rows}10,oops\n11,1.5\n"));
    let import = |extra: &[&str]| {
        let args = ["import", "db.syna", "rows.csv", "--time", "t", "--batch-rows", "4"];
        folder.syna(&[&args[..], extra].concat())
    };
    let outcome = import(&["--print-commits"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, "committed 4\ncommitted 8\n"));
    assert!(outcome.stderr.contains("line 12, column \"v\": \"oops\""), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the first 8 rows"), "{}", outcome.stderr);
    assert_eq!(folder.ok(&["export", "db.syna"]).lines().count(), 1 + 8);

    // Mended, the import goes on where it stopped.
    folder.write("rows.csv", format!("t,v\n{rows}10,10.5\n11,11.5\n"));
    let outcome = import(&["--print-commits", "--skip-rows", "8"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "committed 12\n"));
    assert!(outcome.stderr.starts_with("4 rows, 4 points"), "{}", outcome.stderr);
    let db = SynaDB::open_read_only(folder.path("db.syna")).unwrap();
    let expected: Vec<_> = (0..12).map(|i| f64::from(i) + 0.5).collect();
    assert_eq!(db.get_history_floats("v").unwrap(), expected);
}

#[test]
fn a_bad_file_is_told_by_line_and_nothing_is_imported() {
    let folder = Folder::new();
    for (text, part) in [
        (&b"t,v\n1,2\nnoon,3\n"[..], "line 3, column \"t\""),
        (b"t,v\n1,2\n,3\n", "line 3, column \"t\""),
        (b"t,v\n1,2\n2\n", "line 3: 1 cells, the header has 2"),
        (b"t,v\n1,2,3\n", "line 2: 3 cells"),
        (b"t,v\n1,2\n2,\xff\n", "line 3, column \"v\": not UTF-8"),
        (b"t,v\n1,1e999\n", "too large"),
    ] {
        folder.write("rows.csv", text);
        let stderr = folder.fails(1, &["import", "db.syna", "rows.csv", "--time", "t"]);
        assert!(stderr.contains(part), "{stderr}");
        assert!(stderr.contains("nothing was imported"), "{stderr}");
        assert_eq!(folder.ok(&["keys", "db.syna"]), "");
    }
    folder.write("rows.csv", "t,k,v\n1,,2\n");
    let args = ["import", "db.syna", "rows.csv", "--time", "t", "--key", "k"];
    assert!(folder.fails(1, &args).contains("line 2, column \"k\""));
    folder.write("rows.csv", "t,v\n1,2\n");
    let args = ["import", "db.syna", "rows.csv", "--time", "t", "--skip-rows", "5"];
    assert!(folder.fails(1, &args).contains("fewer than --skip-rows"));
}

#[test]
fn an_option_that_does_not_fit_the_header_is_a_usage_error_and_makes_no_file() {
    let folder = Folder::new();
    folder.write("rows.csv", "t,v,v\n1,2,3\n");
    for (options, part) in [
        (&["--time", "time"][..], "there is no column \"time\"; there are t, v, v"),
        (&["--time", "t", "--key", "x"], "\"x\""),
        (&["--time", "t", "--value", "x"], "\"x\""),
        (&["--time", "t"], "several columns \"v\""),
        (&["--long"], "there is no column \"key\""),
    ] {
        let args = [&["import", "db.syna", "rows.csv"], options].concat();
        let stderr = folder.fails(2, &args);
        assert!(stderr.contains(part), "{stderr}");
        assert!(!folder.path("db.syna").exists());
    }
    folder.write("empty.csv", "");
    folder.fails(2, &["import", "db.syna", "empty.csv", "--time", "t"]);
    assert!(!folder.path("db.syna").exists());
}

#[test]
fn a_spreadsheet_file_with_byte_order_mark_and_quotes_is_read() {
    let folder = Folder::new();
    folder.write("rows.csv", "\u{feff}t,\"a, b\"\r\n2013-01-01 06:00,\"two\r\nlines\"\r\n");
    folder.ok(&["import", "-q", "db.syna", "rows.csv", "--time", "t"]);
    assert_eq!(folder.ok(&["get", "db.syna", "a, b"]), "two\r\nlines\n");
    folder.write("header.csv", "t,v\n");
    let outcome = folder.syna(&["import", "none.syna", "header.csv", "--time", "t"]);
    assert_eq!(outcome.code, 0);
    assert!(outcome.stderr.starts_with("0 rows, 0 points, 0 keys, 0 commits"));
}

#[test]
fn import_reads_standard_input_and_other_units_of_time() {
    let folder = Folder::new();
    let args = ["import", "-q", "db.syna", "-", "--time", "t", "--time-unit", "s"];
    let mut child = folder.command(&args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"t,v\n1357020000,1\n").unwrap();
    assert!(child.wait().unwrap().success());
    let csv = folder.ok(&["get", "db.syna", "v", "--format", "csv"]);
    assert!(csv.ends_with("v,2013-01-01T06:00:00Z,float,1.0\n"), "{csv}");
}

#[test]
fn each_durability_imports_the_same() {
    let folder = Folder::new();
    for mode in ["full", "os", "buffered"] {
        let db = format!("{mode}.syna");
        let args = ["import", "-q", &db, WEATHER, "--time", "time", "--key", "station"];
        folder.ok(&[&args[..], &["--durability", mode, "--value", "temp"]].concat());
    }
    let exported = folder.ok(&["export", "full.syna"]);
    assert_eq!(exported.lines().count(), 26_115);
    assert!(exported == folder.ok(&["export", "os.syna"]));
    assert!(exported == folder.ok(&["export", "buffered.syna"]));
}

#[test]
fn paths_that_are_no_database_are_refused_and_left_alone() {
    let folder = Folder::new();
    folder.write("text.txt", "hello");
    fs::create_dir(folder.path("sub")).unwrap();
    let reads: [&[&str]; 6] = [
        &["get", "FILE", "k"],
        &["history", "FILE", "k"],
        &["keys", "FILE"],
        &["info", "FILE"],
        &["export", "FILE"],
        &["verify", "FILE"],
    ];
    let with = |args: &[&'static str], file: &'static str| -> Vec<&'static str> {
        args.iter().map(|arg| if *arg == "FILE" { file } else { arg }).collect()
    };
    let rewrites: [&[&str]; 4] = [
        &["compact", "FILE"],
        &["optimize", "FILE"],
        &["retain", "FILE", "*=last:1"],
        &["follow", "FILE", "--idle", "0"],
    ];
    for args in reads.into_iter().chain(rewrites) {
        let missing = folder.fails(1, &with(args, "missing.syna"));
        assert!(missing.contains("there is no database"), "{args:?}: {missing}");
        assert!(!folder.path("missing.syna").exists());
        assert!(folder.fails(1, &with(args, "sub")).contains("is a folder"), "{args:?}");
        assert!(folder.fails(1, &with(args, "text.txt")).contains("not a SynaDB"), "{args:?}");
    }
    assert!(folder.fails(1, &["put", "sub", "k", "1"]).contains("is a folder"));
    assert!(folder.fails(1, &["put", "text.txt", "k", "1"]).contains("not a SynaDB"));
    assert!(folder.fails(1, &["salvage", "missing.syna", "to.syna"]).contains("missing.syna"));
    let import = |csv: &str| folder.fails(1, &["import", "db.syna", csv, "--time", "t"]);
    assert!(import("missing.csv").contains("open missing.csv"));
    assert!(import("sub").contains("is a folder"));
    assert!(!folder.path("db.syna").exists());
    folder.write("rows.csv", "t,v\n1,2\n");
    let swapped = folder.fails(1, &["import", "rows.csv", "rows.csv", "--time", "t"]);
    assert!(swapped.contains("not a SynaDB"), "{swapped}");
    assert_eq!(fs::read(folder.path("text.txt")).unwrap(), b"hello");
    assert_eq!(fs::read(folder.path("rows.csv")).unwrap(), b"t,v\n1,2\n");
}

#[test]
fn readers_work_beside_a_writer_and_a_second_writer_is_refused() {
    let folder = Folder::new();
    let db = SynaDB::new(folder.path("db.syna")).unwrap();
    db.append("k", 1_i64).unwrap();
    assert_eq!(folder.ok(&["get", "db.syna", "k"]), "1\n");
    assert_eq!(folder.ok(&["keys", "db.syna"]), "k\n");
    folder.ok(&["info", "db.syna"]);
    folder.ok(&["verify", "db.syna"]);
    folder.write("rows.csv", "t,v\n1,2\n");
    for args in [
        &["put", "db.syna", "k", "2"][..],
        &["import", "db.syna", "rows.csv", "--time", "t"],
        &["compact", "db.syna"],
        &["optimize", "db.syna"],
        &["retain", "db.syna", "*=last:1"],
    ] {
        assert!(folder.fails(1, args).contains("open for writing in another process"));
    }
    db.append("k", 3_i64).unwrap();
    assert_eq!(folder.ok(&["history", "db.syna", "k", "--format", "csv"]).lines().count(), 3);
    db.close().unwrap();
}

#[test]
fn verify_reports_a_whole_file_and_a_damaged_one() {
    let folder = Folder::new();
    let db = SynaDB::new(folder.path("db.syna")).unwrap();
    for i in 0..1_000_i64 {
        db.append("counter", i).unwrap();
    }
    db.close().unwrap();
    let whole = json(&folder.ok(&["verify", "db.syna", "--format", "json"]));
    // As they were appended, and in the chunk that closing sealed them into.
    assert_eq!((&whole["intact"], &whole["points"]), (&true.into(), &2_000.into()));

    // One bit in the key of the first entry, which stands behind the three pages of the header.
    let mut bytes = fs::read(folder.path("db.syna")).unwrap();
    bytes[12_288 + 24] ^= 1;
    folder.write("db.syna", &bytes);
    let outcome = folder.syna(&["verify", "db.syna", "--format", "json"]);
    assert_eq!(outcome.code, 1);
    let damage = json(&outcome.stdout);
    assert_eq!(damage["intact"], false);
    assert!(damage["offset"].is_u64() && damage["last_good"].is_u64(), "{damage}");
    assert!(outcome.stderr.contains("salvage"), "{}", outcome.stderr);
    assert_eq!(fs::read(folder.path("db.syna")).unwrap(), bytes);
}

#[test]
fn salvage_copies_what_is_intact_and_lists_what_is_not() {
    let folder = Folder::new();
    let db = SynaDB::new(folder.path("db.syna")).unwrap();
    for i in 0..100_i64 {
        db.append("counter", i).unwrap();
    }
    db.close().unwrap();
    let whole = folder.syna(&["salvage", "db.syna", "copy.syna", "--format", "json"]);
    assert_eq!((whole.code, whole.stdout.as_str()), (0, "[]\n"));
    assert_eq!(folder.ok(&["get", "copy.syna", "counter"]), "99\n");
    assert!(folder.fails(1, &["salvage", "db.syna", "copy.syna"]).contains("exists already"));

    let mut bytes = fs::read(folder.path("db.syna")).unwrap();
    bytes[12_288 + 24] ^= 1;
    folder.write("db.syna", &bytes);
    let outcome = folder.syna(&["salvage", "db.syna", "rest.syna", "--format", "json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let missing = json(&outcome.stdout);
    assert_eq!(missing.as_array().unwrap().len(), 1, "{missing}");
    assert_eq!(missing[0]["offset"], 12_288);
    let rest = SynaDB::open_read_only(folder.path("rest.syna")).unwrap();
    let values: Vec<_> = rest.get_history("counter").unwrap();
    let values: Vec<_> = values.iter().map(|point| point.value.as_int().unwrap()).collect();
    // The damaged point stands a second time in the chunk that closing sealed.
    assert_eq!(values, (0..100).collect::<Vec<_>>());
}

#[test]
fn compact_keeps_the_latest_point_of_each_key() {
    let folder = Folder::new();
    for i in ["1", "2", "3"] {
        folder.ok(&["put", "-q", "db.syna", "a", i, "--at", i]);
        folder.ok(&["put", "-q", "db.syna", "b", i, "--at", i]);
    }
    let report = json(&folder.ok(&["compact", "db.syna", "--format", "json"]));
    assert_eq!((&report["keys"], &report["points"]), (&2.into(), &2.into()));
    let after = folder.ok(&["export", "db.syna"]);
    let three = "1970-01-01T00:00:00.000003Z,int,3";
    assert_eq!(after, format!("key,timestamp,kind,value\na,{three}\nb,{three}\n"));
}

#[test]
fn optimize_keeps_every_point_in_fewer_bytes() {
    let folder = Folder::new();
    let db = SynaDB::new(folder.path("db.syna")).unwrap();
    for i in 0..100_i64 {
        db.append_at("counter", i, i).unwrap();
    }
    db.close().unwrap();
    let before = folder.ok(&["export", "db.syna"]);
    let report = json(&folder.ok(&["optimize", "db.syna", "--format", "json"]));
    assert_eq!((&report["keys"], &report["points"]), (&1.into(), &100.into()));
    assert!(report["bytes_after"].as_u64() < report["bytes_before"].as_u64(), "{report}");
    assert_eq!(folder.ok(&["export", "db.syna"]), before);
    let info = json(&folder.ok(&["info", "db.syna", "--format", "json"]));
    assert_eq!((&info["generation"], &info["replaced_bytes"]), (&2.into(), &0.into()));
    // Times and values in a step each, in less than the 1,600 bytes that they are decoded.
    assert!((1..1600).contains(&info["live_bytes"].as_u64().unwrap()), "{info}");
    assert!(info["encodings"].as_str().unwrap().starts_with("delta "), "{info}");
}

#[test]
fn retain_keeps_what_the_first_matching_rule_names() {
    let folder = Folder::new();
    for i in ["1", "2", "3"] {
        for key in ["a", "b", "c"] {
            folder.ok(&["put", "-q", "db.syna", key, i, "--at", i]);
        }
    }
    let rules = ["a=last:1", "b=since:1970-01-01T00:00:00.000002Z", "a=last:0"];
    let args = [&["retain", "db.syna", "--format", "json"][..], &rules].concat();
    let report = json(&folder.ok(&args));
    assert_eq!((&report["keys"], &report["points"]), (&3.into(), &6.into()));
    let values = |key| folder.ok(&["history", "db.syna", key, "--format", "jsonl"]).lines().count();
    assert_eq!([values("a"), values("b"), values("c")], [1, 2, 3]);
    assert!(folder.fails(1, &["retain", "db.syna", "[=last:1"]).contains("pattern"));
    assert!(folder.fails(2, &["retain", "db.syna", "a=1"]).contains("last:N"));
}

#[test]
fn follow_prints_what_comes_and_goes_on_where_it_stopped() {
    let folder = Folder::new();
    folder.ok(&["put", "-q", "db.syna", "a", "1", "--at", "1"]);
    folder.ok(&["put", "-q", "db.syna", "b", "x", "--at", "2"]);
    let follow = |more: &[&str]| {
        let args = ["follow", "db.syna", "--idle", "0.1", "--format", "csv"];
        folder.syna(&[&args[..], more].concat())
    };
    let head = "key,timestamp,kind,value\n";
    let first = follow(&["--from", "beginning"]);
    let a = "a,1970-01-01T00:00:00.000001Z,int,1\n";
    let b = "b,1970-01-01T00:00:00.000002Z,text,x\n";
    assert_eq!((first.code, first.stdout), (0, format!("{head}{a}{b}")));
    assert_eq!(follow(&[]).stdout, head);
    assert_eq!(follow(&["b", "--from", "beginning"]).stdout, format!("{head}{b}"));
    let one = follow(&["--from", "beginning", "--commits", "1"]);
    assert_eq!(one.stdout, format!("{head}{a}"));
    // By the cursor that is told, and by one that is kept.
    let cursor = one.stderr.strip_prefix("cursor: ").unwrap().trim();
    assert_eq!(follow(&["--from", cursor]).stdout, format!("{head}{b}"));
    let keep = ["--from", "beginning", "--cursor-file", "cursor"];
    assert_eq!(follow(&keep).stdout, format!("{head}{a}{b}"));
    assert_eq!(follow(&keep).stdout, head);
    {
        let db = SynaDB::new(folder.path("db.syna")).unwrap();
        db.append_at("a", 3, Atom::Null).unwrap();
        db.delete("b").unwrap();
    }
    let more = follow(&keep);
    assert_eq!(
        (more.stdout.as_str(), more.stderr.as_str()),
        (format!("{head}a,1970-01-01T00:00:00.000003Z,null,\nb,,deleted,\n").as_str(), "",)
    );
    folder.ok(&["compact", "db.syna"]);
    folder.ok(&["put", "-q", "db.syna", "a", "4", "--at", "4"]);
    let more = follow(&keep);
    let expected = format!("{head}a,1970-01-01T00:00:00.000004Z,int,4\n");
    assert_eq!((more.code, more.stdout), (0, expected), "{}", more.stderr);
    folder.ok(&["put", "-q", "db.syna", "a", "5", "--at", "5"]);
    folder.ok(&["compact", "db.syna"]);
    let lost = follow(&keep);
    assert_eq!(lost.code, 1);
    assert!(lost.stderr.contains("is lost"), "{}", lost.stderr);
}

/// Lines come as the commits do, in every format, not when the program ends.
#[test]
fn follow_prints_at_once() {
    let folder = Folder::new();
    let db = SynaDB::new(folder.path("db.syna")).unwrap();
    for format in ["table", "jsonl", "csv", "json"] {
        let mut command = folder.command(&["follow", "db.syna", "key", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let (mut seen, mut byte) = (Vec::new(), [0]);
            // The end of the output ends it, too.
            while !String::from_utf8_lossy(&seen).contains("12345") {
                match out.read(&mut byte).unwrap() {
                    0 => return None,
                    _ => seen.push(byte[0]),
                }
            }
            // Kept open: a program that nobody reads any more ends by itself.
            Some(out)
        });
        // It follows from when it has begun, whenever that is.
        let until = Instant::now() + Duration::from_secs(60);
        while !reader.is_finished() && Instant::now() < until {
            db.append("key", 12345_i64).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(child.try_wait().unwrap(), None, "{format}: it ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let seen = reader.join().unwrap();
        assert!(seen.is_some(), "{format}: nothing was printed before the end");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = Folder::new();
    let db = SynaDB::new(folder.path("db.syna")).unwrap();
    let timestamps: Vec<i64> = (0..50_000).collect();
    db.append_batch("k", &timestamps, timestamps.as_slice()).unwrap();
    db.close().unwrap();
    for args in [&["history", "db.syna", "k"][..], &["export", "db.syna"]] {
        let mut command = folder.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let folder = Folder::with_every_kind();
    for args in [&["keys", "db.syna"][..], &["export", "db.syna"], &["info", "db.syna", "*"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = folder.command(args).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("standard output"));
    }
}

/// Every `$ syna ..` of the README, with the output that stands below it.
#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let folder = Folder::new();
    let data = folder.path("examples/data");
    fs::create_dir_all(&data).unwrap();
    fs::copy(WEATHER, data.join("nyc-weather-2013.csv")).unwrap();
    let mut commands = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for example in format!("\n{block}").split("\n$ syna ").skip(1) {
            let (line, expected) = example.split_once('\n').unwrap_or((example, ""));
            let args: Vec<_> = line.split_whitespace().map(|arg| arg.trim_matches('\'')).collect();
            let stdout = folder.ok(&args);
            assert_eq!(stdout.trim_end(), expected.trim_end(), "{line}");
            commands += 1;
        }
    }
    assert!(commands >= 5);
}
