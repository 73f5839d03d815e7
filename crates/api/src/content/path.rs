//! The path of a representation.

use firn_types::{error::ErrorCode, key::ArtifactKey, representation::Representation};

use crate::{
    artifact_path::{invalid_path, split_path},
    problem::Problem,
};

/// One representation of one artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentPath {
    /// The artifact.
    pub key: ArtifactKey,
    /// The representation.
    pub representation: Representation,
}

/// What a path below `/$.content/` takes. DELETE is ingest's to answer, for the artifact of that id.
pub const METHODS: &str = "GET, HEAD, OPTIONS, DELETE";

/// Reads the path of a request for content. Each part is percent-decoded once; the id may hold `/`, as such or as
/// `%2F`.
///
/// # Errors
/// 400 `invalid_path` or `unknown_extension`.
pub fn parse_path(path: &str) -> Result<ContentPath, Problem> {
    let (ns, artifact_type, name) = split_path(path, "the path is /$.content/{ns}/{type}/{id}.{ext}")?;
    let Some((id, representation)) = Representation::split_extension(&name) else {
        let detail = "the path ends in none of .md .mdx .html .css .js .mjs .d.ts .json .mdast.json .hast.json \
                      .estree.json .tsast.json .artifact.json";
        return Err(Problem::new(ErrorCode::UnknownExtension, detail));
    };
    let key =
        ArtifactKey::parse(&ns, &artifact_type, id).map_err(|error| invalid_path(&error.to_string()))?;
    Ok(ContentPath { key, representation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Result<(&str, &str, &str, Representation), ErrorCode>) {
        let parsed = parse_path(path).map_err(|problem| problem.code);
        let parsed = parsed
            .as_ref()
            .map(|p| (p.key.ns.as_str(), p.key.artifact_type.as_str(), p.key.id.as_str(), p.representation));
        assert_eq!(parsed.map_err(|code| *code), expected, "{path}");
    }

    #[test]
    fn path_names_one_representation() {
        use ErrorCode::{InvalidPath, UnknownExtension};
        use Representation as R;
        check("/$.content/app.do/page/home.md", Ok(("app.do", "page", "home", R::Markdown)));
        check("/$.content/App.DO/Page/a/b%20c/d.d.ts", Ok(("app.do", "Page", "a/b c/d", R::Dts)));
        check("/$.content/a/b/c%2Fd.js", Ok(("a", "b", "c/d", R::Esm)));
        check("/$.content/a/b/%25.md", Ok(("a", "b", "%", R::Markdown)));
        check("/$.content/a/b/%E4%BD%A0.mdast.json", Ok(("a", "b", "你", R::Mdast)));
        check("/$.content/a/b/c.exe", Err(UnknownExtension));
        check("/$.content/a/b/.md", Err(UnknownExtension));
        check("/$.content/a/b", Err(InvalidPath));
        check("/$.content/a", Err(InvalidPath));
        check("/$.content/", Err(InvalidPath));
        check("/$.content/a/b/%zz.md", Err(InvalidPath));
        check("/$.content/a/b/%ff.md", Err(InvalidPath));
        check("/$.content/a/b/c//d.md", Err(InvalidPath));
        check("/$.content/a/b/c%5Cd.md", Err(InvalidPath));
        check("/$.content//b/c.md", Err(InvalidPath));
        check("/$.content/a/b/c@v1.md", Err(InvalidPath));
        check("/$.content/a/b/x.d.json", Err(InvalidPath));
    }
}
