//! The seeds of the fuzz target `tenant_config` (`tests/fuzz`), replayed by the stable toolchain.

#[cfg(test)]
#[path = "../../../tests/fuzz/checks/tenant_config.rs"]
mod tenant_config;

#[cfg(test)]
mod seeds {
    use std::fs;
    use std::path::Path;

    use super::tenant_config;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "seeds are files, and this is a test")]
    fn tenant_configurations_keep_their_guarantees_on_every_seed() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds/tenant_config");
        let mut seed_count = 0;
        for seed in fs::read_dir(seeds).unwrap() {
            let path = seed.unwrap().path();
            println!("{}", path.display());
            tenant_config::check(&fs::read(&path).unwrap());
            seed_count += 1;
        }
        assert!(seed_count > 0, "tenant_config has seeds");
    }
}
