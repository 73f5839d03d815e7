use std::collections::BTreeSet;

use firn_ndjson::digest::SoftwareSha256;
use proptest::prelude::*;

use super::*;
use crate::purge::message::TouchedKey;

type H = SoftwareSha256;

const LIMITS: Limits = Limits { keys_per_type: 3, types_per_namespace: 2, waiting: 12 };
const DAY: i64 = 86_400_000_000;

fn ns(name: &str) -> Target {
    Target::namespace::<H>(name)
}

fn of_type(namespace: &str, artifact_type: &str) -> Target {
    ns(namespace).of_type::<H>(namespace, artifact_type)
}

fn key(namespace: &str, artifact_type: &str, id: &str) -> Target {
    of_type(namespace, artifact_type).of_artifact::<H>(namespace, artifact_type, id)
}

fn queue() -> Queue {
    Queue::restore(LIMITS, &[])
}

fn waiting(queue: &Queue) -> Vec<Target> {
    queue.waiting.keys().copied().collect()
}

fn tags(targets: &[Target]) -> Vec<CacheTag> {
    targets.iter().map(Target::tag).collect()
}

#[test]
fn a_message_names_its_targets() {
    let keys = [("page", "x"), ("post", "x"), ("page", "y")];
    let keys = keys.map(|(artifact_type, id)| TouchedKey { artifact_type, id }).to_vec();
    let targets = |touched| targets_of::<H>(&Purge { ns: "a", touched });
    let expected = [key("a", "page", "x"), key("a", "post", "x"), key("a", "page", "y")];
    assert_eq!(targets(Touched::Keys(keys)), expected);
    assert_eq!(targets(Touched::Types(vec!["page", "post"])), [of_type("a", "page"), of_type("a", "post")]);
    assert_eq!(targets(Touched::Namespace), [ns("a")]);
    assert_eq!(expected[0].tag(), CacheTag::of_artifact::<H>("a", "page", "x"));
    assert_eq!(expected[0].parent().map(|up| up.tag()), Some(CacheTag::of_type::<H>("a", "page")));
}

#[test]
fn the_same_waits_once_and_nothing_waits_beneath_what_waits_as_a_whole() {
    let mut queue = queue();
    queue.push(Micros(1), &[key("a", "p", "x"), key("a", "p", "x"), key("a", "q", "x"), key("b", "p", "x")]);
    queue.push(Micros(2), &[key("a", "p", "x")]);
    assert_eq!(queue.len(), 3);
    queue.push(Micros(3), &[of_type("a", "p")]);
    assert_eq!(queue.len(), 3);
    queue.push(Micros(4), &[ns("a")]);
    queue.push(Micros(5), &[key("a", "p", "y"), of_type("a", "q")]);
    assert_eq!(queue.len(), 2);
    let whole = queue.waiting[&ns("a")];
    assert_eq!(
        (whole.since, whole.touched_at),
        (Micros(1), Micros(5)),
        "it waits as long as its oldest part"
    );
}

#[test]
fn many_artifacts_become_their_type_and_many_types_their_namespace() {
    let mut queue = queue();
    for id in ["1", "2", "3"] {
        queue.push(Micros(1), &[key("a", "p", id), key("a", "q", id), key("b", "p", id)]);
    }
    assert_eq!(queue.len(), 9);
    queue.push(Micros(2), &[key("a", "p", "4")]);
    assert!(queue.waiting.contains_key(&of_type("a", "p")));
    assert_eq!(queue.len(), 7);
    queue.push(Micros(2), &[key("a", "q", "4"), of_type("a", "r")]);
    assert!(queue.waiting.contains_key(&ns("a")));
    assert_eq!(queue.len(), 4, "the other namespace's wait on");
}

#[test]
fn over_the_limit_the_fullest_become_one_and_what_cannot_is_dropped_and_counted() {
    let limits = Limits { keys_per_type: 100, types_per_namespace: 100, waiting: 12 };
    let mut queue = Queue::restore(limits, &[]);
    let ids: Vec<String> = (0..8).map(|id| id.to_string()).collect();
    let many: Vec<Target> = ids.iter().map(|id| key("a", "p", id)).collect();
    queue.push(Micros(1), &many);
    queue.push(Micros(1), &[key("b", "p", "1"), key("b", "q", "1"), key("c", "p", "1"), key("c", "p", "2")]);
    assert_eq!(queue.len(), 12);
    queue.push(Micros(2), &[key("d", "p", "1")]);
    let expected = [of_type("a", "p"), key("b", "p", "1"), key("b", "q", "1"), key("d", "p", "1")];
    assert!(expected.iter().all(|target| queue.waiting.contains_key(target)), "{:?}", waiting(&queue));
    assert_eq!(queue.len(), 6, "half is enough");
    for name in &ids {
        queue.push(Micros(3), &[ns(name)]);
    }
    assert!(queue.waiting.contains_key(&ns("b")));
    assert_eq!((queue.len(), queue.take_dropped_count()), (12, 0));
    queue.push(Micros(4), &[ns("e"), ns("f"), ns("g"), ns("h")]);
    assert_eq!(queue.len(), 12);
    assert!(queue.take_dropped_count() > 0);
    assert!(["e", "f", "g", "h"].iter().all(|name| queue.waiting.contains_key(&ns(name))));
}

#[test]
fn the_oldest_are_sent_first_and_only_one_batch_is_on_its_way() {
    let mut queue = queue();
    queue.push(Micros(2), &[key("a", "p", "2")]);
    queue.push(Micros(1), &[key("z", "p", "1")]);
    queue.push(Micros(3), &[key("a", "p", "3")]);
    assert_eq!(queue.send(Micros(4), 2), tags(&[key("z", "p", "1"), key("a", "p", "2")]));
    assert_eq!(queue.send(Micros(5), 2), []);
    queue.arrived();
    assert_eq!(queue.send(Micros(6), 2), tags(&[key("a", "p", "3")]));
    queue.failed();
    assert_eq!(queue.send(Micros(7), 2), tags(&[key("a", "p", "3")]), "a failed one is sent again");
    let lost = queue.sending_until().unwrap();
    assert_eq!(
        queue.send(lost, 2),
        tags(&[key("a", "p", "3")]),
        "and so is one that was never heard of again"
    );
}

#[test]
fn what_is_touched_while_it_is_on_its_way_is_sent_again() {
    let mut queue = queue();
    queue.push(Micros(1), &[key("a", "p", "1")]);
    queue.send(Micros(2), 9);
    queue.push(Micros(3), &[key("a", "p", "1")]);
    queue.take_changes();
    queue.arrived();
    assert!(queue.take_changes().is_empty(), "it stays stored");
    assert_eq!(queue.send(Micros(4), 9).len(), 1);
    queue.arrived();
    assert_eq!(queue.take_changes(), Changes::from([(key("a", "p", "1").tag(), None)]));
}

#[test]
fn what_nothing_can_be_cached_of_any_more_is_dropped() {
    let mut queue = queue();
    queue.push(Micros(0), &[key("a", "p", "1"), key("a", "p", "2")]);
    queue.push(Micros(1), &[key("a", "p", "2")]);
    queue.take_changes();
    assert_eq!(queue.send(Micros(DAY), 9), tags(&[key("a", "p", "2")]));
    assert_eq!(queue.take_changes(), Changes::from([(key("a", "p", "1").tag(), None)]));
}

#[test]
fn what_is_restored_is_stored_anew_only_where_it_changes() {
    let at = |target, micros| Waiting { target, since: Micros(micros), touched_at: Micros(micros) };
    let mut queue =
        Queue::restore(LIMITS, &[at(key("a", "p", "1"), 3), at(ns("b"), 2), at(of_type("b", "p"), 4)]);
    let whole = Waiting { target: ns("b"), since: Micros(2), touched_at: Micros(4) };
    let expected = [(ns("b").tag(), Some(whole)), (of_type("b", "p").tag(), None)];
    assert_eq!(queue.take_changes(), Changes::from(expected));
    assert_eq!(queue.len(), 2);
}

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<Target>),
    Send(usize),
    Arrived,
    Failed,
    /// The holder dies, and starts with what it stored.
    Restart,
}

fn target() -> impl Strategy<Value = Target> {
    let part = || proptest::sample::select(vec!["a", "b", "c", "d", "e"]);
    (part(), proptest::option::weighted(0.95, (part(), proptest::option::weighted(0.9, part())))).prop_map(
        |(name, inner)| match inner {
            None => ns(name),
            Some((artifact_type, None)) => of_type(name, artifact_type),
            Some((artifact_type, Some(id))) => key(name, artifact_type, id),
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::collection::vec(target(), 1..8).prop_map(Step::Push),
        2 => (1_usize..5).prop_map(Step::Send),
        2 => Just(Step::Arrived),
        1 => Just(Step::Failed),
        1 => Just(Step::Restart),
    ]
}

fn covers(sent: &[CacheTag], target: &Target) -> bool {
    let mut at = Some(*target);
    std::iter::from_fn(|| {
        let now = at?;
        at = now.parent();
        Some(now.tag())
    })
    .any(|tag| sent.contains(&tag))
}

proptest! {
    #[test]
    fn whatever_happens_every_touch_is_followed_by_a_purge_that_covers_it(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let mut queue = queue();
        let mut stored: BTreeMap<CacheTag, Waiting> = BTreeMap::new();
        let mut owed: Vec<Target> = Vec::new();
        let mut in_flight: Option<(Vec<CacheTag>, Vec<Target>)> = None;
        let mut now = Micros(0);
        let drain = std::iter::repeat_n([Step::Send(3), Step::Arrived], 200).flatten();
        for step in steps.into_iter().chain([Step::Failed]).chain(drain) {
            now = Micros(now.0 + 1);
            match step {
                Step::Push(targets) => {
                    queue.push(now, &targets);
                    owed.extend(targets);
                }
                Step::Send(count_max) => {
                    let sent = queue.send(now, count_max);
                    prop_assert!(sent.len() <= count_max);
                    if !sent.is_empty() {
                        // What was touched before it was sent is what it purges.
                        in_flight = Some((sent, std::mem::take(&mut owed)));
                    }
                }
                Step::Arrived => {
                    if let Some((sent, before)) = in_flight.take() {
                        owed.extend(before.into_iter().filter(|target| !covers(&sent, target)));
                    }
                    queue.arrived();
                }
                Step::Failed | Step::Restart => {
                    owed.extend(in_flight.take().into_iter().flat_map(|(_, before)| before));
                    if matches!(step, Step::Restart) {
                        queue = Queue::restore(LIMITS, &stored.values().copied().collect::<Vec<_>>());
                    } else {
                        queue.failed();
                    }
                }
            }
            for (tag, change) in queue.take_changes() {
                match change {
                    Some(waiting) => stored.insert(tag, waiting),
                    None => stored.remove(&tag),
                };
            }
            prop_assert!(queue.len() <= LIMITS.waiting);
            for waiting in queue.waiting.values() {
                prop_assert_eq!(stored.get(&waiting.target.tag()), Some(waiting));
            }
            let on_its_way = queue.sent.iter().flat_map(|(_, batch)| batch.iter());
            let held: BTreeSet<CacheTag> =
                queue.waiting.values().chain(on_its_way).map(|waiting| waiting.target.tag()).collect();
            prop_assert!(stored.keys().all(|tag| held.contains(tag)), "nothing stays stored for ever");
            for target in queue.waiting.keys() {
                let above = target.parent().and_then(|up| queue.covering(&up));
                prop_assert_eq!(above, None, "nothing waits beneath what waits as a whole");
            }
        }
        prop_assert!(queue.is_empty() && stored.is_empty());
        // Namespaces are few here, so that nothing is ever dropped.
        prop_assert_eq!(queue.take_dropped_count(), 0);
        prop_assert_eq!(owed, vec![]);
    }
}
