//! Where copies lie: paths below the deployment's own host name, one for each representation of an artifact.
//!
//! ```text
//! /{generation of the namespace}/{generation of the type}/{ns}/{type}/{id, percent-encoded}{extension}
//! ```
//!
//! A path is a function of the decoded key, so that no spelling of a URL has a copy of its own, and no purge misses one.

use firn_types::{
    key::{ArtifactKey, ArtifactType, Namespace},
    representation::Representation,
};

use super::generation::Generations;
use crate::http::percent_encode;

/// The place of a representation.
pub fn copy_place(generations: Generations, key: &ArtifactKey, representation: Representation) -> String {
    let Generations { ns, artifact_type } = generations;
    let id = percent_encode(key.id.as_str());
    let extension = representation.extension();
    format!("/c/{ns:016x}/{artifact_type:016x}/{}/{}/{id}{extension}", key.ns, key.artifact_type.as_str())
}

/// The places of all representations of an artifact.
pub fn copy_places(generations: Generations, key: &ArtifactKey) -> impl Iterator<Item = String> {
    Representation::ALL.into_iter().map(move |representation| copy_place(generations, key, representation))
}

/// Where the generation of a namespace stands.
pub fn ns_generation_place(ns: &Namespace) -> String {
    format!("/g/{ns}")
}

/// Where the generation of a type stands.
pub fn type_generation_place(ns: &Namespace, artifact_type: &ArtifactType) -> String {
    format!("/g/{ns}/{}", artifact_type.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_for_each_representation_and_no_other_artifacts() {
        let generations = Generations { ns: 1, artifact_type: 0xff };
        let key = ArtifactKey::parse("App.do", "page", "a/b c%2Fd?e#ü").unwrap();
        let place = copy_place(generations, &key, Representation::Esm);
        let expected = "/c/0000000000000001/00000000000000ff/app.do/page/a/b%20c%252Fd%3Fe%23%C3%BC.js";
        assert_eq!(place, expected);
        let all: std::collections::HashSet<_> = copy_places(generations, &key).collect();
        assert_eq!(all.len(), 12);
        assert!(all.contains(&place));
        // An id that ends as another one's extension does.
        let tricky = |id: &str, representation| {
            copy_place(generations, &ArtifactKey::parse("a", "b", id).unwrap(), representation)
        };
        assert_ne!(tricky("x.md", Representation::Html), tricky("x", Representation::Html));
        assert_ne!(copy_place(Generations { ns: 2, ..generations }, &key, Representation::Esm), place);
    }
}
