//! The newest row of an artifact, within a deadline, and what reading it cost.

use std::{cell::Cell, fmt, sync::Arc};

use firn_iceberg::{
    followed::{FOLLOWED_LEN_BYTES_MAX, Followed, followed_key},
    metadata::TableMetadata,
};
use firn_store::{
    counting::CountingRead,
    erased::ErasedRead,
    perform::perform,
    read::{ObjectBytes, ObjectRead},
    retry::{Pause, RetryRead},
    timeout::{READ_TIMEOUT_MS, TimeoutRead, within},
};
use firn_types::{
    key::ArtifactKey,
    object::{ByteRange, ObjectKey},
    representation::Representation,
    time::Micros,
};
use futures::future::join_all;

use super::{
    config::{LakeConfig, TableName},
    error::LakeError,
    held::HeldLake,
    located::Place,
    lookup::Running,
    pointers::TablePointers,
};
use crate::content::artifact::ArtifactRow;

/// The lake, as one request reads it.
#[derive(Debug)]
pub struct Lake<'a, S, T, P> {
    /// The bucket.
    pub store: &'a S,
    /// Where tables' current metadata lies.
    pub pointers: &'a T,
    /// Timers.
    pub platform: &'a P,
    /// What the isolate holds.
    pub held: &'a HeldLake,
    /// Which tables, and for how long.
    pub config: &'a LakeConfig,
}

/// What the store was asked for by one request; the requests to a REST catalog are not among it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCost {
    /// Requests, those included that failed or were given up.
    pub reads: u64,
    /// Waves: requests that had to wait for one another. An attempt that is repeated belongs to the wave of the first.
    pub waves: u64,
    /// Bytes.
    pub len_bytes: u64,
}

impl fmt::Display for ReadCost {
    /// As `X-Firn-Cost` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reads={}; waves={}; bytes={}", self.reads, self.waves, self.len_bytes)
    }
}

/// What is known of an artifact before its tables are asked.
#[derive(Clone, Copy, Debug)]
pub enum Hint<'a> {
    /// Nothing: there is no ledger, or it knows that the tables know better.
    Nothing,
    /// The ledger has never heard of it. A table that was followed up to its current snapshot has no such row.
    NeverHeardOf,
    /// It lies there. Where it does not, it is looked up.
    At(&'a Place),
}

/// The newest row of an artifact in all tables, with what finding it cost. `None`: no table has one.
///
/// Every read has a deadline and is retried within a budget ([`firn_store::retry`]); the whole has one of its own.
pub async fn read_artifact<S: ObjectRead, T: TablePointers, P: Pause>(
    lake: &Lake<'_, S, T, P>,
    key: &ArtifactKey,
    representation: Representation,
    hint: Hint<'_>,
    now: Micros,
) -> (Result<Option<ArtifactRow>, LakeError>, ReadCost) {
    let counting = CountingRead::new(lake.store);
    // The counter is inside, so that each attempt is a request.
    let bounded = TimeoutRead::new(&counting, lake.platform, READ_TIMEOUT_MS);
    let store = RetryRead::new(bounded, lake.platform);
    let store = ErasedRead::new(&store);
    let request_count = || counting.counts().requests;
    let reader = Reader {
        store,
        request_count: &request_count,
        waves: Cell::new(0),
        held: lake.held,
        config: lake.config,
        now,
    };
    let deadline_ms = lake.config.deadline_ms;
    let looked_up = within(lake.platform, deadline_ms, reader.read(lake.pointers, key, representation, hint));
    let result = looked_up.await.unwrap_or(Err(LakeError::Deadline { deadline_ms }));
    let counts = counting.counts();
    (result, ReadCost { reads: counts.requests, waves: reader.waves.get(), len_bytes: counts.len_bytes })
}

/// One request's way to the tables.
pub(super) struct Reader<'a> {
    store: ErasedRead<'a>,
    /// How many requests the store has had of this reader.
    request_count: &'a dyn Fn() -> u64,
    waves: Cell<u64>,
    pub(super) held: &'a HeldLake,
    pub(super) config: &'a LakeConfig,
    now: Micros,
}

impl<'a> Reader<'a> {
    async fn read(
        &self,
        pointers: &impl TablePointers,
        key: &ArtifactKey,
        representation: Representation,
        hint: Hint<'_>,
    ) -> Result<Option<ArtifactRow>, LakeError> {
        if let Hint::At(place) = hint {
            match self.read_located(pointers, key, place, representation).await {
                Ok(Some(row)) => return Ok(Some(row)),
                // Compacted or expired since: the tables know better, if their pointers are read anew.
                Ok(None) => self.held.forget_pointers(),
                Err(error) if error.is_stale() => self.held.forget_pointers(),
                Err(error) => return Err(error),
            }
        }
        self.look_up(pointers, key, representation, hint).await
    }

    async fn look_up(
        &self,
        pointers: &impl TablePointers,
        key: &ArtifactKey,
        representation: Representation,
        hint: Hint<'_>,
    ) -> Result<Option<ArtifactRow>, LakeError> {
        let found = self.look_up_once(pointers, key, representation, hint).await;
        if !found.as_ref().is_err_and(LakeError::is_stale) {
            return found;
        }
        self.held.forget_pointers();
        self.look_up_once(pointers, key, representation, hint).await
    }

    async fn look_up_once(
        &self,
        pointers: &impl TablePointers,
        key: &ArtifactKey,
        representation: Representation,
        hint: Hint<'_>,
    ) -> Result<Option<ArtifactRow>, LakeError> {
        let metadata = self.read_pointers(pointers).await?;
        let mut metadata = self.read_metadata(metadata).await?;
        if matches!(hint, Hint::NeverHeardOf) {
            self.leave_out_followed(&mut metadata).await?;
        }
        let start = |(table, metadata)| Running::start(table, metadata, key, representation);
        let running = metadata.into_iter().map(start).collect::<Result<_, _>>()?;
        self.run(running).await
    }

    /// Where each table's current metadata lies; tables that do not exist yet are left out.
    pub(super) async fn read_pointers(
        &self,
        pointers: &impl TablePointers,
    ) -> Result<Vec<(&'a TableName, ObjectKey)>, LakeError> {
        let hold_micros = self.config.pointer_hold_micros;
        let held = |table| self.held.pointer(table, self.now, hold_micros);
        let tables: Vec<_> = self.config.tables.iter().map(|table| (table, held(table))).collect();
        let missing: Vec<_> =
            tables.iter().filter(|(_, held)| held.is_none()).map(|(table, _)| *table).collect();
        let mut located = Vec::new().into_iter();
        if !missing.is_empty() {
            let requests_before = (self.request_count)();
            located = pointers.locate(&self.store, &missing).await?.into_iter();
            if (self.request_count)() > requests_before {
                self.waves.set(self.waves.get() + 1);
            }
        }
        let mut found = Vec::new();
        for (table, held) in tables {
            let metadata = if let Some(pointer) = held {
                pointer.metadata
            } else {
                let metadata = located.next().flatten();
                self.held.put_pointer(table, metadata.clone(), self.now);
                metadata
            };
            found.extend(metadata.map(|metadata| (table, metadata)));
        }
        Ok(found)
    }

    /// Leaves out the tables whose current snapshot was followed: what no ledger knows is not in them.
    async fn leave_out_followed(
        &self,
        tables: &mut Vec<(&'a TableName, Arc<TableMetadata>)>,
    ) -> Result<(), LakeError> {
        let hold_micros = self.config.pointer_hold_micros;
        let is_held = |table: &TableName| self.held.followed(table, self.now, hold_micros).is_some();
        let missing: Vec<_> =
            tables.iter().map(|(table, _)| *table).filter(|table| !is_held(table)).collect();
        let tail = ByteRange::Tail { len_bytes: FOLLOWED_LEN_BYTES_MAX };
        let asked = missing.iter().map(|table| (followed_key(&table.namespace, &table.name), tail.clone()));
        if !missing.is_empty() {
            self.waves.set(self.waves.get() + 1);
        }
        let reads = asked.map(|(object, range)| async move {
            match self.store.read(&object, &range).await {
                Ok(read) => Ok(Followed::parse(&read.bytes)),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            }
        });
        let read = join_all(reads).await;
        for (table, followed) in missing.iter().zip(read) {
            self.held.put_followed(table, followed?, self.now);
        }
        tables.retain(|(table, metadata)| {
            let followed = self.held.followed(table, self.now, hold_micros);
            let uuid = metadata.table_uuid.as_deref();
            !followed.is_some_and(|followed| {
                followed.covers(uuid, metadata.current_snapshot().map(|snapshot| snapshot.snapshot_id))
            })
        });
        Ok(())
    }

    /// Reads all of it at once, as far as there are connections.
    pub(super) async fn wave(&self, asked: &[(ObjectKey, ByteRange)]) -> Result<Vec<ObjectBytes>, LakeError> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        self.waves.set(self.waves.get() + 1);
        Ok(perform(&self.store, asked).await?)
    }
}
