import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Database, SynaError, version } from "./synadb.js";

test("values, tensors and Arrow tables come back", () => {
  const folder = mkdtempSync(join(tmpdir(), "synadb-"));
  try {
    const db = new Database(join(folder, "node.syna"));
    assert.match(version, /^\d+\.\d+\.\d+$/);
    assert.ok(db.put("f", 1.5, 100n) > 0n);
    assert.ok(db.put("f", 2.5) > 0n);
    assert.equal(db.getFloat("f"), 2.5);
    assert.equal(db.getFloat("none"), undefined);
    db.put("i", 9007199254740993n);
    db.put("ä key", "a täxt\0with NUL");
    assert.equal(db.getText("ä key"), "a täxt\0with NUL");
    assert.throws(() => db.getFloat("ä key"), (error) =>
      error instanceof SynaError && error.code === -6 && error.name === "SYNA_ERR_TYPE_MISMATCH");

    const values = Float64Array.from({ length: 10000 }, (_, at) => at * 0.25);
    const times = BigInt64Array.from({ length: 10000 }, (_, at) => BigInt(at) * 1000000n);
    db.putMany("many", values, times);
    assert.deepEqual(db.floats("many"), values);
    const table = db.history("many");
    assert.equal(table.numRows, 10000);
    assert.deepEqual(table.schema.fields.map((field) => field.name), ["timestamp", "value"]);
    assert.deepEqual(Float64Array.from(table.getChild("value").toArray()), values);
    assert.equal(db.history("i").getChild("value").get(0), 9007199254740993n);

    // Elements of another size were read as doubles, and beyond their end.
    db.putMany("narrow", new Float32Array([1.5, 2.5, 3.5]));
    assert.deepEqual(db.floats("narrow"), Float64Array.of(1.5, 2.5, 3.5));
    db.putMany("listed", [1.5, 2.5], [1n, 2n]);
    assert.equal(db.history("listed").numRows, 2);
    assert.throws(() => db.putMany("listed", [1n]), TypeError);
    assert.throws(() => db.putMany("listed", [1.5], [1]), TypeError);
    assert.throws(() => db.putMany("listed", [1.5], [1n, 2n]), RangeError);
    // Bits were cut off, a number was an address, and what stands before a NUL was opened.
    assert.throws(() => db.put("i", 2n ** 63n), RangeError);
    assert.throws(() => db.put("i", 1, 2n ** 63n), RangeError);
    assert.throws(() => db.put("i", null), TypeError);
    assert.throws(() => db.put(5, 1), TypeError);
    assert.throws(() => new Database(5), TypeError);
    assert.throws(() => new Database(join(folder, "a\0b")), TypeError);

    db.close();
    assert.throws(() => db.getFloat("f"), (error) => error.code === -19);
    assert.throws(() => new Database(folder), (error) => error.code === -2);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
