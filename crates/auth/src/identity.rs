//! Who a verified token speaks for, and what it may do (design.md §2 "Identity", §3 "Tokens").

use firn_types::key::{KeyError, Namespace};

/// A pattern of namespaces that a token may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NsPattern {
    /// One namespace.
    Exact(Namespace),
    /// `*.suffix`: one or more labels before the suffix.
    Below(Namespace),
    /// A bare `*`: matches nothing, so that no token reaches every tenant by one character.
    Nothing,
}

impl NsPattern {
    /// Reads a pattern, lower-cased like a namespace.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text == "*" {
            return Ok(Self::Nothing);
        }
        match text.strip_prefix("*.") {
            Some(suffix) => Namespace::parse(suffix).map(Self::Below),
            None => Namespace::parse(text).map(Self::Exact),
        }
    }

    /// Whether `ns` is one of its namespaces.
    pub fn matches(&self, ns: &Namespace) -> bool {
        match self {
            Self::Nothing => false,
            Self::Exact(exact) => exact == ns,
            Self::Below(suffix) => ns
                .as_str()
                .strip_suffix(suffix.as_str())
                .and_then(|above| above.strip_suffix('.'))
                .is_some_and(|labels| labels.split('.').all(|label| !label.is_empty())),
        }
    }
}

/// What a token may do at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `artifacts:read`: its identity counts when an artifact is read.
    Read,
    /// `artifacts:write`: it writes in its namespaces.
    Write,
    /// `artifacts:admin`: it reads and writes everything in its namespaces; so it includes the other two.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The word in a token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "artifacts:read",
            Self::Write => "artifacts:write",
            Self::Admin => "artifacts:admin",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// The scopes of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Reads words separated by spaces (RFC 8693 §4.2); words of other systems are passed over.
    pub fn parse(words: &str) -> Self {
        let mut scopes = Self::default();
        for scope in words.split(' ').filter_map(Scope::parse) {
            if !scopes.0.contains(&scope) {
                scopes.0.push(scope);
            }
        }
        scopes
    }

    /// Whether the scope is there, or is included in one that is.
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope) || self.0.contains(&Scope::Admin)
    }
}

/// Who a verified token speaks for. A missing `org` or `sub` equals nothing, not even another missing one; one that is
/// there is never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `iss`.
    pub issuer: String,
    /// `org`.
    pub org: Option<String>,
    /// `sub`.
    pub sub: Option<String>,
    /// `roles`, as given. Firn itself attaches no right to them.
    pub roles: Vec<String>,
    /// `ns`.
    pub namespaces: Vec<NsPattern>,
    /// `scope`.
    pub scopes: Scopes,
}

impl Identity {
    /// Whether it may write the namespace: the scope and a pattern.
    pub fn may_write(&self, ns: &Namespace) -> bool {
        self.scopes.allow(Scope::Write) && self.names(ns)
    }

    /// Whether it is an admin of the namespace: the scope and a pattern.
    pub fn is_admin(&self, ns: &Namespace) -> bool {
        self.scopes.allow(Scope::Admin) && self.names(ns)
    }

    /// The namespace that a request writes, where the token alone decides it: it names one, exactly, and no pattern
    /// besides.
    pub fn single_namespace(&self) -> Option<&Namespace> {
        match self.namespaces.as_slice() {
            [NsPattern::Exact(ns)] => Some(ns),
            _ => None,
        }
    }

    fn names(&self, ns: &Namespace) -> bool {
        self.namespaces.iter().any(|pattern| pattern.matches(ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(text: &str) -> Namespace {
        Namespace::parse(text).unwrap()
    }

    #[track_caller]
    fn check(pattern: &str, namespace: &str, expected: bool) {
        let parsed = NsPattern::parse(pattern).unwrap();
        assert_eq!(parsed.matches(&ns(namespace)), expected, "{pattern} {namespace}");
    }

    #[test]
    fn pattern_is_exact_or_one_or_more_labels_below_a_suffix() {
        check("app.do", "app.do", true);
        check("App.DO", "aPP.do", true);
        check("app.do", "x.app.do", false);
        check("app.do", "app.dop", false);
        check("*.app.do", "x.app.do", true);
        check("*.APP.do", "x.y.app.do", true);
        check("*.app.do", "app.do", false);
        check("*.app.do", "xapp.do", false);
        check("*.app.do", "x-app.do", false);
        check("*.app.do", "x..app.do", false);
        check("*.app.do", "x.app.do.evil", false);
        check("*", "app", false);
        check("*", "app.do", false);
    }

    #[test]
    fn other_uses_of_the_star_are_refused() {
        for text in ["", "**", "*.", "*.*", "*.*.do", "a.*", "*a.do", "*..do", ".do", "a b", "é"] {
            assert!(NsPattern::parse(text).is_err(), "{text}");
        }
    }

    fn identity(namespaces: &[&str], scope: &str) -> Identity {
        Identity {
            issuer: "i".to_owned(),
            org: None,
            sub: None,
            roles: Vec::new(),
            namespaces: namespaces.iter().map(|text| NsPattern::parse(text).unwrap()).collect(),
            scopes: Scopes::parse(scope),
        }
    }

    #[test]
    fn writing_needs_the_scope_and_the_namespace() {
        for (namespaces, scope, may_write, is_admin) in [
            (&["app.do"][..], "artifacts:write", true, false),
            (&["*.do"], "artifacts:read artifacts:write", true, false),
            (&["app.do"], "artifacts:admin", true, true),
            (&["app.do"], "artifacts:read", false, false),
            (&["app.do"], "", false, false),
            (&["app.do"], "Artifacts:Write artifacts:writer write", false, false),
            (&["other.do"], "artifacts:write artifacts:admin", false, false),
            (&["*"], "artifacts:write artifacts:admin", false, false),
            (&[], "artifacts:write artifacts:admin", false, false),
        ] {
            let caller = identity(namespaces, scope);
            assert_eq!(caller.may_write(&ns("app.do")), may_write, "{namespaces:?} {scope}");
            assert_eq!(caller.is_admin(&ns("app.do")), is_admin, "{namespaces:?} {scope}");
        }
    }

    #[test]
    fn token_decides_the_namespace_only_if_it_names_just_one() {
        assert_eq!(identity(&["A.do"], "").single_namespace(), Some(&ns("a.do")));
        for several in [&[][..], &["*.do"], &["*"], &["a", "b"], &["a", "*.b"], &["a", "*"]] {
            assert_eq!(identity(several, "").single_namespace(), None, "{several:?}");
        }
    }
}
