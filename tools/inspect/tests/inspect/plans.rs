//! What a lookup costs, as `plan` and `--stats` tell it.

use crate::support::{fixture, map, run};

const KEY: [&str; 6] = ["--key", "ns=beta.dev", "--key", "type=page", "--key", "id=guide/0007"];

fn ask(command: &str, more: &[&str]) -> crate::support::Said {
    let (table, map) = (
        fixture("../iceberg/pyiceberg-identity/metadata.json"),
        format!("s3://lake={}", fixture("../iceberg")),
    );
    run(&[&[command, "--table", &table, "--map", &map], more].concat())
}

/// The lines without sizes and paths, which differ from fixture to fixture.
fn shape(plan: &str) -> Vec<String> {
    let role = |line: &str| line.rsplit_once("  [").map(|(_, role)| role.trim_end_matches(']').to_owned());
    plan.lines()
        .filter_map(|line| if line.starts_with("wave") { Some("wave".to_owned()) } else { role(line) })
        .collect()
}

#[test]
fn plan_of_a_key_shows_what_survives_pruning() {
    let said = ask("plan", &KEY);
    assert_eq!(said.status, 0, "{}", said.err);
    let roles = ["wave", "table metadata", "wave", "manifest list", "wave", "manifest", "wave", "footer"];
    assert_eq!(shape(&said.out), roles, "{}", said.out);
    assert!(said.out.contains("\nmanifests 1 of 3\n"), "{}", said.out);
    assert!(said.out.contains("\ndata files 1 of 4 in these manifests\n"), "{}", said.out);
    assert!(said.out.contains("\nfound row 7 of "), "{}", said.out);
    assert!(said.out.contains("\ntable metadata: requests 1, waves 1, bytes "), "{}", said.out);
    assert!(said.out.contains("\nlookup: requests 3, waves 3, bytes "), "{}", said.out);
}

#[test]
fn bytes_of_the_waves_add_up_to_the_total() {
    for more in [KEY.as_slice(), &[]] {
        let out = ask("plan", more).out;
        let bytes = |line: &str| line.rsplit_once("bytes ").unwrap().1.parse::<u64>().unwrap();
        let waves: u64 = out.lines().filter(|line| line.starts_with("wave")).map(bytes).sum();
        let total = bytes(out.lines().find(|line| line.starts_with("total: ")).unwrap());
        assert!(waves > 0 && waves == total, "{out}");
    }
}

#[test]
fn plan_of_a_scan_reads_every_file() {
    let out = ask("plan", &[]).out;
    assert!(out.contains("\nmanifests 3 of 3\n") && out.contains("\nfound 174 rows\n"), "{out}");
}

#[test]
fn plan_of_an_absent_key_says_so() {
    let out = ask("plan", &["--key", "ns=gamma.dev"]).out;
    assert!(out.contains("\nmanifests 0 of 3\n") && out.contains("\nfound absent\n"), "{out}");
}

#[test]
fn stats_are_one_line_of_json_on_standard_error() {
    for (command, more) in [("get", KEY.as_slice()), ("plan", &KEY), ("scan", &[])] {
        let said = ask(command, &[more, &["--stats"]].concat());
        let stats: serde_json::Value = serde_json::from_str(&said.err).unwrap();
        let of = |name: &str| stats[name].as_u64().unwrap();
        assert!(of("requests") >= of("waves") && of("waves") >= 4 && of("bytes") > 1_000, "{stats}");
    }
    let said = run(&["scan", "--table", &fixture("nowhere"), "--map", &map(), "--stats"]);
    assert!(said.status == 2 && said.err.starts_with("{\"requests\":"), "{said:?}");
}
