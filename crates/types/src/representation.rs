//! The representations of an artifact: extension, column and media type (design.md §3, GET).

/// One way to read an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Representation {
    /// `.md`
    Markdown,
    /// `.mdx`
    Mdx,
    /// `.html`
    Html,
    /// `.css`
    Css,
    /// `.js`, `.mjs`
    Esm,
    /// `.d.ts`
    Dts,
    /// `.json`: the front matter.
    Frontmatter,
    /// `.mdast.json`
    Mdast,
    /// `.hast.json`
    Hast,
    /// `.estree.json`
    Estree,
    /// `.tsast.json`
    Tsast,
    /// `.artifact.json`: the whole record with its server-set fields.
    Artifact,
}

use Representation as R;

/// Every extension with its representation. Where two end alike (`.json`), the longer stands first.
const EXTENSIONS: [(&str, R); 13] = [
    (".artifact.json", R::Artifact),
    (".mdast.json", R::Mdast),
    (".hast.json", R::Hast),
    (".estree.json", R::Estree),
    (".tsast.json", R::Tsast),
    (".json", R::Frontmatter),
    (".d.ts", R::Dts),
    (".md", R::Markdown),
    (".mdx", R::Mdx),
    (".html", R::Html),
    (".css", R::Css),
    (".mjs", R::Esm),
    (".js", R::Esm),
];

impl Representation {
    /// All of them.
    pub const ALL: [Self; 12] = [
        R::Markdown,
        R::Mdx,
        R::Html,
        R::Css,
        R::Esm,
        R::Dts,
        R::Frontmatter,
        R::Mdast,
        R::Hast,
        R::Estree,
        R::Tsast,
        R::Artifact,
    ];

    /// Splits `name` into id and representation; the longest known extension wins, and the id may not be empty.
    pub fn split_extension(name: &str) -> Option<(&str, Self)> {
        EXTENSIONS
            .iter()
            .find_map(|(extension, representation)| {
                name.strip_suffix(extension).map(|id| (id, *representation))
            })
            .filter(|(id, _)| !id.is_empty())
    }

    /// The extension in canonical URLs, with its dot (`.js`, not `.mjs`).
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Markdown => ".md",
            Self::Mdx => ".mdx",
            Self::Html => ".html",
            Self::Css => ".css",
            Self::Esm => ".js",
            Self::Dts => ".d.ts",
            Self::Frontmatter => ".json",
            Self::Mdast => ".mdast.json",
            Self::Hast => ".hast.json",
            Self::Estree => ".estree.json",
            Self::Tsast => ".tsast.json",
            Self::Artifact => ".artifact.json",
        }
    }

    /// The column that holds it; `None` for the whole artifact.
    pub const fn column(self) -> Option<&'static str> {
        Some(match self {
            Self::Markdown => "markdown",
            Self::Mdx => "mdx",
            Self::Html => "html",
            Self::Css => "css",
            Self::Esm => "esm",
            Self::Dts => "dts",
            Self::Frontmatter => "frontmatter",
            Self::Mdast => "mdast",
            Self::Hast => "hast",
            Self::Estree => "estree",
            Self::Tsast => "tsast",
            Self::Artifact => return None,
        })
    }

    /// The `Content-Type` of an answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Mdx => "text/mdx; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Css => "text/css; charset=utf-8",
            Self::Esm => "text/javascript; charset=utf-8",
            Self::Dts => "application/typescript; charset=utf-8",
            Self::Frontmatter | Self::Mdast | Self::Hast | Self::Estree | Self::Tsast | Self::Artifact => {
                "application/json"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_extension_wins() {
        for (name, id, representation) in [
            ("home.md", "home", R::Markdown),
            ("a.b.mdx", "a.b", R::Mdx),
            ("x.d.ts", "x", R::Dts),
            ("x.mdast.json", "x", R::Mdast),
            ("x.json", "x", R::Frontmatter),
            ("package.json.json", "package.json", R::Frontmatter),
            ("x.artifact.json", "x", R::Artifact),
            ("x.mjs", "x", R::Esm),
        ] {
            assert_eq!(Representation::split_extension(name), Some((id, representation)), "{name}");
        }
        for name in ["x", "x.ts", ".md", "x.MD", "x.md.", ""] {
            assert_eq!(Representation::split_extension(name), None, "{name}");
        }
    }
}
