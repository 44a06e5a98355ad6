//! `syna verify`: reads every byte of the file and checks it.

use std::path::PathBuf;

use super::Streams;
use super::error::CliError;
use super::output::{self, Cell, FormatArgs};
use super::progress::Bar;
use crate::{RecoveryReport, SynaDB, SynaError, VerifyReport};

/// Check every checksum in the file; exit code 1 when something is damaged
///
/// The file is not changed. A report is printed in both cases: with what was read when the file is
/// whole, with the place of the damage when it is not.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let mut bar = Bar::bytes(streams);
    let outcome = SynaDB::open_read_only(&args.file).and_then(|db| {
        let report = db.verify_with(&mut bar.callback())?;
        Ok((report, db.recovery_report()))
    });
    drop(bar);
    let fields = match &outcome {
        Ok((report, recovery)) => intact(report, recovery),
        Err(error) => match damaged(error) {
            Some(fields) => fields,
            // The file could not be checked at all, so there is nothing to report on.
            None => return Err(error.clone().into()),
        },
    };
    output::record(streams.stdout, args.format.format, &fields)?;
    outcome.map(|_| ()).map_err(CliError::from)
}

fn intact(report: &VerifyReport, recovery: &RecoveryReport) -> Vec<(&'static str, Cell)> {
    let mut fields = vec![
        ("intact", Cell::Flag(true)),
        ("bytes", Cell::Count(report.bytes)),
        ("entries", Cell::Count(report.entries)),
        ("chunks", Cell::Count(report.chunks)),
        ("blocks", Cell::Count(report.blocks)),
        ("points", Cell::Count(report.points)),
        ("keys", Cell::Count(report.keys)),
    ];
    // A torn tail is no damage: it is what a crash leaves of a commit nobody was promised.
    if let Some(reason) = recovery.reason {
        fields.push(("torn_tail_bytes", Cell::Count(recovery.bytes_cut)));
        fields.push(("torn_tail", Cell::from(reason)));
    }
    fields
}

fn damaged(error: &SynaError) -> Option<Vec<(&'static str, Cell)>> {
    match error {
        SynaError::Corrupt { offset, last_good, next_good, what } => Some(vec![
            ("intact", Cell::Flag(false)),
            ("damage", Cell::from(*what)),
            ("offset", Cell::Count(*offset)),
            ("last_good", Cell::Count(*last_good)),
            ("next_good", Cell::count_or_null(*next_good)),
        ]),
        SynaError::TornTailTooLong { offset, len } => Some(vec![
            ("intact", Cell::Flag(false)),
            ("damage", Cell::from("whole commits lie after damage")),
            ("offset", Cell::Count(*offset)),
            ("tail_bytes", Cell::Count(*len)),
        ]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_reported_with_its_place() {
        let error =
            SynaError::Corrupt { offset: 7, last_good: 5, next_good: None, what: "checksum" };
        let fields = damaged(&error).unwrap();
        assert_eq!(fields[0], ("intact", Cell::Flag(false)));
        assert_eq!(fields[2], ("offset", Cell::Count(7)));
        assert_eq!(fields[4], ("next_good", Cell::Null));
        assert!(damaged(&SynaError::Busy).is_none());
    }
}
