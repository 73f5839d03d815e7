//! The seeds of the fuzz targets (`tests/fuzz`), replayed by the stable toolchain.

#[cfg(test)]
#[path = "../../../tests/fuzz/checks/framing.rs"]
mod framing;
#[cfg(test)]
#[path = "../../../tests/fuzz/checks/records.rs"]
mod records;

#[cfg(test)]
mod seeds {
    use std::fs;
    use std::path::Path;

    use super::{framing, records};

    #[expect(clippy::disallowed_methods, reason = "seeds are files, and this is a test")]
    fn replay(target: &str, check: fn(&[u8])) {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds").join(target);
        let mut seed_count = 0;
        for seed in fs::read_dir(seeds).unwrap() {
            let path = seed.unwrap().path();
            let input = fs::read(&path).unwrap();
            println!("{}", path.display());
            check(&input);
            seed_count += 1;
        }
        assert!(seed_count > 0, "{target} has seeds");
    }

    #[test]
    fn framing_keeps_its_guarantees_on_every_seed() {
        replay("framing", framing::check);
    }

    #[test]
    fn record_validation_keeps_its_guarantees_on_every_seed() {
        replay("records", records::check);
    }
}
