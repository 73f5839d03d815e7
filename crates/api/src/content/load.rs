//! One representation for one caller: out of the edge cache, the ledger or the lake (design.md §5, §6).
//!
//! Who may read is judged on every way: a copy is of what anyone may read, and judged again when it is found; a row is
//! judged by the ledger's word before the lake is asked, and by its own columns afterwards.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use bytes::Bytes;
use firn_auth::identity::Identity;
use firn_types::{tenant::TenantConfig, time::Micros, visibility::Visibility};
use futures::channel::oneshot;

use super::{
    answer::{Facts, Freshness, head_of, represent},
    artifact::{ArtifactRow, Source},
    edge::{
        EdgeCache,
        entry::{Age, Entry},
        generation::HeldGenerations,
        place::copy_place,
    },
    flight::{FlightKey, Flights, Found, Role},
    path::ContentPath,
    ports::ReadPorts,
    query::{Wanted, secs},
    read::{Route, Word, ask_ledger, unavailable},
};
use crate::{
    http::Response,
    problem::Problem,
    tables::{error::LakeError, read::ReadCost},
};

/// What the requests of one isolate share.
#[derive(Debug, Default)]
pub struct Shared {
    /// Lookups under way.
    pub flights: Rc<Flights>,
    /// Generations of copies.
    pub generations: HeldGenerations,
    /// Places of copies that are being refreshed, and since when.
    pub(super) refreshing: RefCell<HashMap<String, Micros>>,
}

/// A representation as it is sent: the head of its 200, and its body, which may still lie in the edge cache.
#[derive(Debug)]
pub struct Whole<B> {
    /// The head, without a length.
    pub head: Response,
    /// Length of the body.
    pub len_bytes: u64,
    /// The body.
    pub body: Body<B>,
}

/// Where a body is.
#[derive(Debug)]
pub enum Body<B> {
    /// Here.
    Bytes(Bytes),
    /// In the edge cache.
    Stored(B),
}

/// One read by one caller.
#[derive(Debug)]
pub struct Reading<'r, P> {
    /// The deployment.
    pub ports: &'r Rc<P>,
    /// What the isolate's requests share.
    pub shared: &'r Rc<Shared>,
    /// What is read.
    pub path: &'r ContentPath,
    /// By whom.
    pub caller: Option<&'r Identity>,
    /// The terms of the namespace.
    pub terms: &'r Rc<TenantConfig>,
    /// How fresh it is to be.
    pub wanted: Wanted,
    /// When it began.
    pub now: Micros,
    /// What was asked of the store; added up.
    pub cost: &'r Cell<ReadCost>,
}

type BodyOf<P> = <<P as ReadPorts>::Edge as EdgeCache>::Body;

/// A row, with how it came.
struct Loaded {
    row: LoadedRow,
    /// Whether a copy of it can be found out of date later: a ledger knows it, or there are no ledgers.
    is_vouched_for: bool,
    ledger_version: Option<i64>,
}

enum LoadedRow {
    Own(Option<ArtifactRow>),
    Shared(Rc<Found>),
}

impl Loaded {
    fn row(&self) -> Result<Option<&ArtifactRow>, Problem> {
        match &self.row {
            LoadedRow::Own(row) => Ok(row.as_ref()),
            LoadedRow::Shared(found) => {
                found.as_ref().as_ref().map(Option::as_ref).map_err(LakeError::to_problem)
            }
        }
    }
}

impl<P: ReadPorts> Reading<'_, P> {
    /// The representation.
    ///
    /// # Errors
    /// 404, 410; 502 and 503 where it cannot be read now, and no copy may stand in.
    pub async fn read(&self) -> Result<Whole<BodyOf<P>>, Problem> {
        let now = self.now;
        let bound = Wanted::Within(secs(self.terms.max_age_secs));
        let bound = Freshness::of(bound, self.terms).unwrap_or(Freshness { max_age_secs: 0, stale_secs: 0 });
        let Some(wanted) = Freshness::of(self.wanted, self.terms) else {
            let (whole, _) = self.load_whole(None, None).await?;
            return Ok(marked(whole, "firn; fwd=bypass"));
        };
        let place = self.place(now).await;
        let (mut word, mut late) = (None, None);
        if let Some((entry, body)) = self.find(&place).await {
            match entry.age(now, wanted, bound) {
                Age::Fresh { ttl_secs } => {
                    let status = format!("firn; hit; ttl={ttl_secs}");
                    return Ok(self.copied(&entry, body, wanted, now, &status));
                }
                Age::Stale { over_secs } => {
                    self.refresh_behind(&place, now);
                    let status = format!("firn; hit; ttl=-{over_secs}; detail=stale");
                    return Ok(self.copied(&entry, body, wanted, now, &status));
                }
                Age::Unsettled => {
                    let said = self.ask(now).await?;
                    let agrees = said.as_ref().is_none_or(|said| said.version == entry.ledger_version);
                    if agrees {
                        let ttl_secs = i64::from(wanted.max_age_secs) - (now.0 - entry.read_at.0) / 1_000_000;
                        let status = format!("firn; hit; ttl={ttl_secs}");
                        return Ok(self.copied(&entry, body, wanted, now, &status));
                    }
                    word = said;
                }
                Age::Late => late = Some((entry, body)),
                Age::Expired => {}
            }
        }
        let forward = if late.is_some() { "stale" } else { "uri-miss" };
        match (self.load_whole(Some(wanted), word).await, late) {
            (Ok((whole, copy)), _) => {
                let stored = if copy.is_some() { "; stored" } else { "" };
                if let Some((entry, body)) = copy {
                    self.fill_behind(place, entry, body, bound);
                }
                Ok(marked(whole, &format!("firn; fwd={forward}{stored}")))
            }
            // The lake fails. What may be read was judged by the ledger, or is as old as the namespace allows.
            (Err(problem), Some((entry, body))) if problem.code.status() >= 502 => {
                let age_secs = (now.0 - entry.read_at.0) / 1_000_000;
                let over_secs = age_secs - i64::from(wanted.max_age_secs);
                let status = format!("firn; hit; ttl=-{over_secs}; detail=failed");
                Ok(self.copied(&entry, body, wanted, now, &status))
            }
            (Err(problem), _) => Err(problem),
        }
    }

    async fn place(&self, now: Micros) -> String {
        let (ports, key) = (self.ports.as_ref(), &self.path.key);
        let generations = self.shared.generations.current(ports.edge(), key, now, &|| ports.draw()).await;
        copy_place(generations, key, self.path.representation)
    }

    async fn find(&self, place: &str) -> Option<(Entry, BodyOf<P>)> {
        let (note, body) = self.ports.edge().find(place).await?;
        Some((Entry::parse(&note)?, body))
    }

    /// The answer out of a copy.
    fn copied(
        &self,
        entry: &Entry,
        body: BodyOf<P>,
        wanted: Freshness,
        now: Micros,
        status: &str,
    ) -> Whole<BodyOf<P>> {
        let representation = self.path.representation;
        let head =
            head_of(&entry.facts, representation, Source::Cache, Some(wanted), entry.read_at, self.terms);
        let age_secs = (now.0 - entry.read_at.0).max(0) / 1_000_000;
        let head = head.with("Age", age_secs.to_string());
        marked(Whole { head, len_bytes: entry.len_bytes, body: Body::Stored(body) }, status)
    }

    /// What the ledger says; `None` where none is asked, or none answers and the namespace has opted in to do without.
    async fn ask(&self, now: Micros) -> Result<Option<Word>, Problem> {
        let Some(ledgers) = self.ports.ledgers() else { return Ok(None) };
        match ask_ledger(ledgers, self.path, self.caller, now).await {
            Ok(word) => Ok(Some(word)),
            Err(_) if self.terms.lake_only_public => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// The representation from the ledger or the lake, and a copy of it where one may be kept.
    pub(super) async fn load_whole(
        &self,
        freshness: Option<Freshness>,
        word: Option<Word>,
    ) -> Result<(Whole<BodyOf<P>>, Option<(Entry, Bytes)>), Problem> {
        let now = self.ports.now();
        let loaded = self.load(word, now).await?;
        let row = loaded.row()?;
        let (facts, body) = represent(self.path, row, self.caller, now)?;
        let source = row.map_or(Source::Parquet, |row| row.source);
        let head = head_of(&facts, self.path.representation, source, freshness, now, self.terms);
        let len_bytes = body.len() as u64;
        let copy = is_copied(&loaded, &facts, freshness).then(|| {
            let ledger_version = loaded.ledger_version;
            let entry = Entry { facts, read_at: now, stored_at: now, len_bytes, ledger_version };
            (entry, body.clone())
        });
        Ok((Whole { head, len_bytes, body: Body::Bytes(body) }, copy))
    }

    async fn load(&self, word: Option<Word>, now: Micros) -> Result<Loaded, Problem> {
        let word = match word {
            Some(word) => Some(word),
            None => self.ask(now).await?,
        };
        let Some(Word { version, route }) = word else { return self.load_without_ledger(now).await };
        let route = match route? {
            Route::Row(row) => {
                return Ok(Loaded {
                    row: LoadedRow::Own(Some(row)),
                    is_vouched_for: true,
                    ledger_version: version,
                });
            }
            route => route,
        };
        let unsent = match &route {
            Route::Tables { beneath } => beneath.clone(),
            _ => None,
        };
        let found = self.look_up(route, version, now).await;
        let row = match unsent {
            None => LoadedRow::Shared(found),
            Some(unsent) => {
                let found = found.as_ref().as_ref().map_err(LakeError::to_problem)?;
                // A null version is the lowest, which `None` is to `Option`'s order.
                let row = [found.clone(), Some(unsent)].into_iter().flatten().max_by_key(|row| row.version);
                LoadedRow::Own(row)
            }
        };
        Ok(Loaded { row, is_vouched_for: version.is_some(), ledger_version: version })
    }

    /// In a deployment without ledgers the tables say all. Where there is one that does not answer, they say what was
    /// public, to those who opted in.
    async fn load_without_ledger(&self, now: Micros) -> Result<Loaded, Problem> {
        let found = self.look_up(Route::Tables { beneath: None }, None, now).await;
        let has_ledgers = self.ports.ledgers().is_some();
        if has_ledgers {
            let row = found.as_ref().as_ref().map_err(LakeError::to_problem)?.as_ref();
            if !row.is_some_and(|row| row.visibility().is_some_and(Visibility::is_open)) {
                return Err(unavailable("the ledger does not answer".to_owned()));
            }
        }
        Ok(Loaded { row: LoadedRow::Shared(found), is_vouched_for: !has_ledgers, ledger_version: None })
    }

    /// One lookup for all requests of the isolate that want the same.
    async fn look_up(&self, route: Route, version: Option<i64>, now: Micros) -> Rc<Found> {
        let representation = self.path.representation;
        let key = FlightKey { key: self.path.key.clone(), representation, version };
        let ports = Rc::clone(self.ports);
        let lead = match self.shared.flights.join(key, now) {
            Role::Lead(lead) => lead,
            Role::Follow(follow) => match follow.wait(ports.as_ref(), ports.as_ref()).await {
                Some(found) => return found,
                None => return self.look_up_alone(&route, now).await,
            },
        };
        let (report, reported) = oneshot::channel();
        let (path, flights) = (self.path.clone(), Rc::clone(&self.shared.flights));
        self.ports.run_behind(Box::pin(async move {
            let _turn = flights.turn(ports.as_ref(), ports.as_ref()).await;
            let (found, cost) = ports.read_lake(&path.key, path.representation, route.hint(), now).await;
            // Nobody listens where the client has gone away.
            let _ = report.send((lead.finish(found), cost));
        }));
        match reported.await {
            Ok((found, cost)) => {
                self.add(cost);
                found
            }
            Err(_) => Rc::new(Err(LakeError::Deadline { deadline_ms: 0 })),
        }
    }

    async fn look_up_alone(&self, route: &Route, now: Micros) -> Rc<Found> {
        let ports = self.ports.as_ref();
        let _turn = self.shared.flights.turn(ports, ports).await;
        let found = ports.read_lake(&self.path.key, self.path.representation, route.hint(), now).await;
        self.add(found.1);
        Rc::new(found.0)
    }

    fn add(&self, cost: ReadCost) {
        let before = self.cost.get();
        self.cost.set(ReadCost {
            reads: before.reads + cost.reads,
            waves: before.waves + cost.waves,
            len_bytes: before.len_bytes + cost.len_bytes,
        });
    }
}

fn is_copied(loaded: &Loaded, facts: &Facts, freshness: Option<Freshness>) -> bool {
    let is_open = facts.visibility.is_some_and(Visibility::is_open);
    loaded.is_vouched_for && is_open && !facts.is_preview && freshness.is_some()
}

fn marked<B>(whole: Whole<B>, status: &str) -> Whole<B> {
    Whole { head: whole.head.with("Cache-Status", status), ..whole }
}
