//! The point lookup in one file.

use std::{collections::HashSet, ops::Range, sync::Arc};

use firn_types::object::ByteRange;

use crate::{
    file::{
        FileRequest, FoundRow, Goal, RowSelection, When,
        bloom::BloomProbe,
        error::{Cause, Located, LookupError},
        fetched::Fetched,
        footer::{FileFooter, Tail, tail_len_bytes},
        group::{Allowance, Group},
        index::{Wanted, index_needs, parse_indexes},
        keys::{KeyWork, fill_batch, first_columns},
        limits::HELD_LEN_BYTES_MAX,
        matched::Matched,
        narrow::{narrow_group, probe_of},
        plan::{Candidate, Plan},
    },
    need::{Need, Role, Step, Supplied},
};

/// Finds rows of one file.
///
/// Call [`Self::step`] with nothing, perform the needs it returns, step again with what they gave, until it is done.
/// The rows come in the order of their positions; an empty answer means that no row equals the key.
#[derive(Debug)]
pub struct FileLookup {
    request: FileRequest,
    /// What is said to lie behind the columns.
    stated_end_len_bytes: Option<u64>,
    footer: Option<Arc<FileFooter>>,
    fetched: Fetched,
    allowance: Allowance,
    goal: Goal,
    state: State,
}

/// What is known. Each state holds the proof of what was read before it.
#[derive(Debug)]
enum State {
    /// Nothing, or a part of the footer.
    Start,
    /// Which row groups might match.
    Pruned(Plan, Vec<Candidate>),
    /// Which pages might match.
    Narrowed(Plan, Vec<Group>),
    /// Which blocks of bloom filters to ask.
    Probing(Plan, Vec<Group>, Vec<(usize, BloomProbe)>),
    /// Key pages are being read, a batch of row groups at a time.
    Keys(Plan, KeyWork),
    /// Rows are known, values of some columns are missing.
    Targets(Plan, TargetWork),
    /// Over.
    Done,
}

/// Row groups on their way through the pages of the other columns.
#[derive(Debug)]
struct TargetWork {
    groups: Vec<Matched>,
}

/// The outcome of one transition.
enum Next {
    Need(State, Vec<Need>),
    Go(State),
    Pause(State, Vec<FoundRow>),
    Done(Vec<FoundRow>),
}

impl FileLookup {
    /// Starts a lookup. `held` is the footer that an earlier lookup of the same object left; objects are immutable.
    pub fn new(request: FileRequest, held: Option<Arc<FileFooter>>) -> Self {
        let pages = held.as_ref().map(|footer| Arc::clone(footer.pages()));
        let fetched = pages.map(Fetched::after).unwrap_or_default();
        Self {
            request,
            stated_end_len_bytes: None,
            footer: held,
            fetched,
            allowance: Allowance::default(),
            goal: Goal::All,
            state: State::Start,
        }
    }

    /// Says how much of the object lies behind its columns; a hint for the first read, never trusted.
    pub fn expect_end(&mut self, stated_end_len_bytes: Option<u64>) {
        self.stated_end_len_bytes = stated_end_len_bytes;
    }

    /// The footer, with what was read of the page index and of small columns so far; for a cache.
    pub fn footer(&self) -> Option<Arc<FileFooter>> {
        self.footer.clone()
    }

    /// Sets how far [`Self::step`] goes. A lookup that answered at a nearer goal goes on from there.
    pub fn set_goal(&mut self, goal: Goal) {
        self.goal = goal;
    }

    /// The first kind of column that the rows of the last answer lack: their values there are null. `None` where the
    /// answer was complete.
    pub fn unread(&self) -> Option<When> {
        let State::Targets(plan, work) = &self.state else { return None };
        let open = work.groups.iter().flat_map(Matched::open_columns).filter_map(|idx| plan.columns.get(idx));
        open.map(|column| column.when).min_by_key(|when| *when == When::Target)
    }

    /// Forgets all rows but the one at `position`.
    pub fn keep_only(&mut self, position: u64) {
        if let State::Targets(_, work) = &mut self.state {
            work.groups.retain_mut(|matched| matched.keep_only(position));
        }
    }

    /// Goes on with the answers to the needs of the step before, in their order; with none at first.
    ///
    /// # Errors
    /// *Corrupt*, *unsupported* or *limit*; the lookup is then over. So it is after a complete answer: a further step
    /// gives no rows.
    pub fn step(&mut self, supplied: Vec<Supplied>) -> Result<Step<Vec<FoundRow>>, LookupError> {
        let (mut tail, mut state) = (None, std::mem::replace(&mut self.state, State::Done));
        for Supplied { bytes, offset, object_len_bytes } in supplied {
            tail = Some(object_len_bytes);
            self.fetched.insert(offset, bytes);
        }
        loop {
            let next = self.transition(state, tail).map_err(|error| error.in_object(&self.request.object))?;
            match next {
                Next::Go(next) => state = next,
                Next::Done(rows) => return Ok(Step::Done(rows)),
                Next::Pause(next, rows) => {
                    self.state = next;
                    return Ok(Step::Done(rows));
                }
                Next::Need(next, needs) => {
                    self.check_held(&needs).map_err(|cause| LookupError::new(&self.request.object, cause))?;
                    self.state = next;
                    return Ok(Step::Need(needs));
                }
            }
        }
    }

    fn transition(&mut self, state: State, object_len_bytes: Option<u64>) -> Result<Next, Located> {
        match state {
            State::Start => self.start(object_len_bytes),
            State::Pruned(plan, candidates) => self.narrow(plan, candidates),
            State::Narrowed(plan, groups) => self.probe(plan, groups),
            State::Probing(plan, groups, probes) => Ok(self.ask(plan, groups, probes)),
            State::Keys(plan, work) => self.read_keys(plan, work),
            State::Targets(plan, work) => self.read_targets(plan, work),
            State::Done => Ok(Next::Done(Vec::new())),
        }
    }

    fn need(&self, range: ByteRange, role: Role) -> Need {
        Need { object: self.request.object.clone(), range, role }
    }

    fn needs(&self, ranges: impl IntoIterator<Item = Range<u64>>, role: Role) -> Vec<Need> {
        ranges.into_iter().map(|range| self.need(ByteRange::Range(range), role)).collect()
    }

    /// What is asked for now and what is held already stay within the limit together.
    fn check_held(&self, needs: &[Need]) -> Result<(), Cause> {
        let len_bytes = |need: &Need| match &need.range {
            ByteRange::Range(range) => range.end.saturating_sub(range.start),
            ByteRange::Tail { len_bytes } => *len_bytes,
        };
        let asked = needs.iter().map(len_bytes).fold(self.fetched.len_bytes(), u64::saturating_add);
        Cause::check_limit("bytes held of a file", asked, HELD_LEN_BYTES_MAX)
    }

    fn footer_ref(footer: Option<&Arc<FileFooter>>) -> Result<&FileFooter, Located> {
        footer.map(Arc::as_ref).ok_or_else(|| Cause::Truncated { what: "footer" }.into())
    }

    /// Reads the footer, finds the columns in it, drops row groups by statistics.
    fn start(&mut self, object_len_bytes: Option<u64>) -> Result<Next, Located> {
        if self.footer.is_none() {
            let Some(len) = object_len_bytes else {
                let len_bytes = tail_len_bytes(self.request.stated_len_bytes, self.stated_end_len_bytes);
                let need = self.need(ByteRange::Tail { len_bytes }, Role::Footer);
                return Ok(Next::Need(State::Start, vec![need]));
            };
            match FileFooter::parse_tail(&self.fetched, len)? {
                Tail::Need(range) => return Ok(Next::Need(State::Start, self.needs([range], Role::Footer))),
                Tail::Footer(footer) => self.footer = Some(Arc::new(footer)),
            }
        }
        let footer = Self::footer_ref(self.footer.as_ref())?;
        let plan = Plan::new(&self.request, footer)?;
        let candidates = plan.candidates(self.request.rows, footer)?;
        Ok(Next::Go(State::Pruned(plan, candidates)))
    }

    /// Reads the page index where it pays, drops pages by it.
    fn narrow(&mut self, plan: Plan, candidates: Vec<Candidate>) -> Result<Next, Located> {
        let wanted: Vec<Wanted> =
            candidates.iter().map(|candidate| plan.wanted(candidate, self.request.rows)).collect();
        let footer = Self::footer_ref(self.footer.as_ref())?;
        let missing = index_needs(footer, &wanted, &self.fetched)?;
        if !missing.is_empty() {
            let needs = self.needs(missing, Role::PageIndex);
            return Ok(Next::Need(State::Pruned(plan, candidates), needs));
        }
        let parsed = parse_indexes(footer, &wanted, &self.fetched)?;
        if let Some(footer) = self.footer.as_mut().filter(|_| !parsed.is_empty()) {
            let footer = Arc::make_mut(footer);
            for index in parsed {
                footer.keep_index(index);
            }
        }
        let footer = Self::footer_ref(self.footer.as_ref())?;
        let mut groups = Vec::new();
        for candidate in &candidates {
            let group = narrow_group(&plan, candidate, self.request.rows, footer)?;
            groups.extend(Some(group).filter(|group| !group.rows.is_empty()));
        }
        Ok(Next::Go(State::Narrowed(plan, groups)))
    }

    /// Plans which bloom filters to ask: those of row groups whose key pages cost more than the asking.
    fn probe(&mut self, plan: Plan, mut groups: Vec<Group>) -> Result<Next, Located> {
        let footer = Self::footer_ref(self.footer.as_ref())?;
        let (mut probes, mut ranges) = (Vec::new(), Vec::new());
        for (idx, group) in groups.iter_mut().enumerate() {
            if self.request.rows != RowSelection::AllMatching {
                break;
            }
            if let Some(probe) = probe_of(&plan, group, footer, &self.fetched)? {
                ranges.extend([probe.header.clone(), probe.block.clone()]);
                probes.push((idx, probe));
            }
        }
        ranges.retain(|range| self.fetched.get(range).is_none());
        let next = State::Probing(plan, groups, probes);
        if ranges.is_empty() {
            return Ok(Next::Go(next));
        }
        Ok(Next::Need(next, self.needs(ranges, Role::PageIndex)))
    }

    /// Drops row groups by bloom filters, and plans the first wave of pages.
    fn ask(&mut self, plan: Plan, groups: Vec<Group>, probes: Vec<(usize, BloomProbe)>) -> Next {
        let excluded: HashSet<usize> = probes
            .into_iter()
            .filter(|(_, probe)| {
                let header = self.fetched.get(&probe.header);
                let block = self.fetched.get(&probe.block);
                header.zip(block).is_some_and(|(header, block)| !probe.might_match(&header, &block))
            })
            .map(|(idx, _)| idx)
            .collect();
        let groups: Vec<Group> = groups
            .into_iter()
            .enumerate()
            .filter(|(idx, _)| !excluded.contains(idx))
            .map(|(_, group)| group)
            .collect();
        Next::Go(State::Keys(plan, KeyWork::new(groups)))
    }

    fn read_keys(&mut self, plan: Plan, mut work: KeyWork) -> Result<Next, Located> {
        let footer = Self::footer_ref(self.footer.as_ref())?;
        if work.batch.is_empty() {
            fill_batch(&plan, &mut work, footer)?;
            if work.batch.is_empty() {
                return Ok(Next::Go(State::Targets(plan, TargetWork { groups: work.done })));
            }
            let is_only = work.waiting.len() == 0 && work.done.is_empty();
            work.columns = first_columns(&plan, &mut work.batch, is_only, self.goal, footer, &self.fetched)?;
        }
        let mut missing = Vec::new();
        let with_key = plan.columns_of(When::WithKey);
        for group in &mut work.batch {
            let (small, large): (Vec<usize>, _) = work.columns.iter().partition(|idx| with_key.contains(idx));
            let small = plan.leaves(&group.open_keys, &small);
            let mut large = plan.leaves(&[], &large);
            large.retain(|leaf_idx| !small.contains(leaf_idx));
            let needs = group.needs(footer, &small, &self.fetched, &mut self.allowance)?;
            work.small.extend_from_slice(&needs);
            missing.extend(needs);
            missing.extend(group.needs(footer, &large, &self.fetched, &mut self.allowance)?);
        }
        if !missing.is_empty() {
            let needs = self.needs(missing, Role::KeyPages);
            return Ok(Next::Need(State::Keys(plan, work), needs));
        }
        if let Some(footer) = self.footer.as_mut().filter(|_| !work.small.is_empty()) {
            Arc::make_mut(footer).keep_pages(std::mem::take(&mut work.small), &self.fetched);
        }
        let footer = Self::footer_ref(self.footer.as_ref())?;
        for mut group in std::mem::take(&mut work.batch) {
            group.match_keys(footer, &plan.keys, &self.fetched, &mut self.allowance)?;
            if group.rows.is_empty() {
                continue;
            }
            let mut matched = Matched::new(group, &plan);
            matched.read(&plan, &work.columns, footer, &self.fetched, &mut self.allowance)?;
            work.done.push(matched);
        }
        if work.waiting.len() > 0 {
            self.fetched.clear();
        }
        Ok(Next::Go(State::Keys(plan, work)))
    }

    fn read_targets(&mut self, plan: Plan, mut work: TargetWork) -> Result<Next, Located> {
        let footer = Self::footer_ref(self.footer.as_ref())?;
        let goal = self.goal;
        let mut missing = Vec::new();
        for matched in &mut work.groups {
            let leaves = plan.leaves(&[], &matched.open_columns_of(&plan, goal));
            missing.extend(matched.group.needs(footer, &leaves, &self.fetched, &mut self.allowance)?);
        }
        if !missing.is_empty() {
            let needs = self.needs(missing, Role::TargetPages);
            return Ok(Next::Need(State::Targets(plan, work), needs));
        }
        for matched in &mut work.groups {
            let open = matched.open_columns_of(&plan, goal);
            matched.read(&plan, &open, footer, &self.fetched, &mut self.allowance)?;
        }
        if work.groups.iter().all(|matched| matched.open_columns().is_empty()) {
            return Ok(Next::Done(work.groups.into_iter().flat_map(Matched::into_rows).collect()));
        }
        let rows = work.groups.iter().flat_map(Matched::rows_so_far).collect();
        Ok(Next::Pause(State::Targets(plan, work), rows))
    }
}
