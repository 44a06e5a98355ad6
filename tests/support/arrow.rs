//! Arrow arrays as what they were made of.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int8Type, Int64Type};
use arrow_array::{Array, StructArray};
use arrow_schema::DataType;
use synadb::{Atom, AtomKind};

/// The values of an array as atoms. Every type that histories have is known.
pub fn atoms_of(array: &dyn Array) -> Vec<Atom> {
    match array.data_type() {
        DataType::Union(..) => {
            let union = array.as_any().downcast_ref::<arrow_array::UnionArray>().unwrap();
            let children: Vec<Vec<Atom>> = (1..5).map(|kind| atoms_of(union.child(kind))).collect();
            let value = |row| match union.type_id(row) {
                0 => Atom::Null,
                kind => children[kind as usize - 1][union.value_offset(row)].clone(),
            };
            return (0..array.len()).map(value).collect();
        }
        DataType::Struct(_) => return atoms_of_struct(array.as_struct()),
        _ => {}
    }
    let atom = |row: usize| match array.data_type() {
        _ if array.is_null(row) => Atom::Null,
        DataType::Float64 => Atom::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Int64 => Atom::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Utf8 => Atom::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Binary => Atom::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        other => panic!("no history has values of type {other}"),
    };
    (0..array.len()).map(atom).collect()
}

fn atoms_of_struct(fields: &StructArray) -> Vec<Atom> {
    let kinds = fields.column(0).as_dictionary::<Int8Type>();
    let names: Vec<_> = kinds.values().as_string::<i32>().iter().flatten().collect();
    if fields.is_empty() {
        return Vec::new();
    }
    assert_eq!(names, AtomKind::ALL.map(AtomKind::name));
    let children: Vec<Vec<Atom>> = (1..5).map(|kind| atoms_of(fields.column(kind))).collect();
    let value = |row: usize| {
        let kind = kinds.keys().value(row) as usize;
        for (column, other) in fields.columns().iter().zip(0..).skip(1) {
            assert_eq!(column.is_valid(row), kind == other);
        }
        assert_eq!(fields.is_null(row), kind == 0);
        if kind == 0 { Atom::Null } else { children[kind - 1][row].clone() }
    };
    (0..fields.len()).map(value).collect()
}

/// Equality by bits.
pub fn same(a: &Atom, b: &Atom) -> bool {
    match (a, b) {
        (Atom::Float(a), Atom::Float(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}
