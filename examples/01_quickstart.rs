//! Open a database, append values, read them back: `cargo run --example 01_quickstart`.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;

use synadb::{Atom, SynaDB};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("house.syna");

    // A database is one file, created when it is missing. With the default options every append
    // survives power loss once it has returned.
    let db = SynaDB::new(&path)?;

    // Nothing is declared beforehand: a key begins with its first value, and may hold any mix.
    db.append("kitchen/temperature", 21.5)?;
    db.append("kitchen/temperature", 21.75)?;
    db.append("kitchen/lamp", "on")?;
    db.append("door/opened", 1_i64)?;
    db.append("door/opened", Atom::Null)?;

    // The latest value, and every value there ever was.
    assert_eq!(db.get("kitchen/temperature")?, Some(Atom::Float(21.75)));
    assert_eq!(db.get("attic/temperature")?, None);
    for point in db.get_history("kitchen/temperature")? {
        println!("{} us: {:?}", point.timestamp, point.value);
    }
    assert_eq!(db.get_history_floats("kitchen/temperature")?, [21.5, 21.75]);
    assert_eq!(db.keys_matching("kitchen/*")?, ["kitchen/lamp", "kitchen/temperature"]);

    // Deleting hides a key; appending brings it back with the new points only.
    db.delete("kitchen/lamp")?;
    assert!(!db.exists("kitchen/lamp")?);
    db.append("kitchen/lamp", "off")?;
    assert_eq!(db.len("kitchen/lamp")?, 1);

    // Closing makes the next open fast. Without it nothing that was acknowledged is lost.
    db.close()?;
    let db = SynaDB::new(&path)?;
    assert_eq!(db.get("kitchen/temperature")?, Some(Atom::Float(21.75)));
    println!("{} keys after reopening", db.keys()?.len());

    db.close()?;
    Ok(())
}
