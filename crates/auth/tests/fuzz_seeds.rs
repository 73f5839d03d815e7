//! The seeds of the fuzz target `tokens` (`tests/fuzz`), replayed by the stable toolchain.

#[cfg(test)]
#[path = "../../../tests/fuzz/checks/tokens.rs"]
mod tokens;

#[cfg(test)]
mod seeds {
    use std::fs;
    use std::path::Path;

    use super::tokens;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "seeds are files, and this is a test")]
    fn tokens_and_key_sets_keep_their_guarantees_on_every_seed() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds/tokens");
        let mut seed_count = 0;
        for seed in fs::read_dir(seeds).unwrap() {
            let path = seed.unwrap().path();
            println!("{}", path.display());
            tokens::check(&fs::read(&path).unwrap());
            seed_count += 1;
        }
        assert!(seed_count > 0, "tokens has seeds");
    }
}
