//! Performs what a lookup or a scan needs, wave by wave.

use firn_lookup::{
    held::HeldObjects,
    need::{Need, Step, Supplied},
    table::{
        Outcome, TableLookup,
        query::TableQuery,
        scan::{ScannedRow, TableScan},
    },
};
use firn_store::{
    perform::perform,
    read::{ObjectBytes, ObjectRead, StoreError},
};
use firn_types::object::{ByteRange, ObjectKey};

use crate::{error::InspectError, read::retrying, trace::Trace};

/// Runs a lookup to its end. `after_wave` is told what each wave was for.
pub(crate) async fn look_up(
    store: &Trace<impl ObjectRead>,
    query: TableQuery,
    held: &mut dyn HeldObjects,
    mut after_wave: impl FnMut(&[Need]),
) -> Result<Outcome, InspectError> {
    let mut lookup = TableLookup::new(query)?;
    let mut supplied = Vec::new();
    loop {
        match lookup.step(std::mem::take(&mut supplied), held)? {
            Step::Done(outcome) => return Ok(outcome),
            Step::Need(needs) => {
                supplied = wave(store, &needs).await?;
                after_wave(&needs);
            }
        }
    }
}

/// Runs a scan to its end and hands on its rows as they come.
pub(crate) async fn scan_rows(
    store: &Trace<impl ObjectRead>,
    query: TableQuery,
    held: &mut dyn HeldObjects,
    mut after_wave: impl FnMut(&[Need]),
    mut take_rows: impl FnMut(Vec<ScannedRow>) -> Result<(), InspectError>,
) -> Result<(), InspectError> {
    let mut scan = TableScan::new(query)?;
    let mut supplied = Vec::new();
    loop {
        match scan.step(std::mem::take(&mut supplied), held)? {
            Step::Done(None) => return Ok(()),
            Step::Done(Some(rows)) => take_rows(rows)?,
            Step::Need(needs) => {
                supplied = wave(store, &needs).await?;
                after_wave(&needs);
            }
        }
    }
}

async fn wave(store: &Trace<impl ObjectRead>, needs: &[Need]) -> Result<Vec<Supplied>, StoreError> {
    store.begin_wave();
    let asked: Vec<(ObjectKey, ByteRange)> =
        needs.iter().map(|need| (need.object.clone(), need.range.clone())).collect();
    let given = perform(&retrying(store), &asked).await?;
    let supply = |read: ObjectBytes| Supplied {
        bytes: read.bytes,
        offset: read.offset,
        object_len_bytes: read.object_len_bytes,
    };
    Ok(given.into_iter().map(supply).collect())
}
