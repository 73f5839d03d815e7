//! Who may read an artifact (design.md §3 "Who may read").
//!
//! | visibility | who |
//! |---|---|
//! | `public`, `unlisted` | anyone |
//! | `org` | a caller of the owner's issuer and organisation; both sides must have one |
//! | `user` | the owner: the same issuer and `sub`, and the same organisation if either side has one |
//! | null, unknown | nobody |
//! | any | an admin of the namespace |
//!
//! Where a right follows from the caller's identity, the token must carry `artifacts:read` (or `artifacts:admin`): a
//! token that was made only for writing must not become a key to everything that its user may read.
//!
//! A missing value equals nothing. For `user` this is about `sub`: without one there is no owner. An organisation
//! refines who the owner is: with one it must be the same one, so the same `sub` in another organisation, or in none,
//! is somebody else. Two identities without any organisation are told apart by issuer and `sub` alone; an issuer gives
//! each `sub` once, and otherwise nobody could ever read what was written with such a token.

use firn_types::{key::Namespace, visibility::Visibility};

use crate::identity::{Identity, Scope};

/// The identity that wrote a row, as stored. A row of another engine may lack any of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Issuer.
    pub iss: Option<String>,
    /// Organisation.
    pub org: Option<String>,
    /// User.
    pub sub: Option<String>,
}

/// Whether a caller may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Access {
    /// It may.
    Granted,
    /// It may not, and must not learn that there is anything to read.
    Denied,
}

/// Whether `caller` (`None`: anonymous) may read an artifact of `ns`, whose newest version has these rights.
/// `visibility` is `None` where the stored word is null or unknown.
pub fn may_read(
    visibility: Option<Visibility>,
    owner: &Owner,
    caller: Option<&Identity>,
    ns: &Namespace,
) -> Access {
    let granted = match visibility {
        Some(Visibility::Public | Visibility::Unlisted) => true,
        Some(Visibility::Org) => caller.is_some_and(|c| c.is_admin(ns) || (reads(c) && same_org(owner, c))),
        Some(Visibility::User) => caller.is_some_and(|c| c.is_admin(ns) || (reads(c) && same_user(owner, c))),
        None => caller.is_some_and(|c| c.is_admin(ns)),
    };
    if granted { Access::Granted } else { Access::Denied }
}

fn reads(caller: &Identity) -> bool {
    caller.scopes.allow(Scope::Read)
}

fn same_org(owner: &Owner, caller: &Identity) -> bool {
    same_issuer(owner, caller) && both_are(owner.org.as_deref(), caller.org.as_deref())
}

fn same_user(owner: &Owner, caller: &Identity) -> bool {
    let no_org = owner.org.is_none() && caller.org.is_none();
    same_issuer(owner, caller)
        && both_are(owner.sub.as_deref(), caller.sub.as_deref())
        && (no_org || both_are(owner.org.as_deref(), caller.org.as_deref()))
}

fn same_issuer(owner: &Owner, caller: &Identity) -> bool {
    both_are(owner.iss.as_deref(), Some(&caller.issuer))
}

/// Equal and there. An empty text in a row of another engine is as good as missing.
fn both_are(stored: Option<&str>, claimed: Option<&str>) -> bool {
    matches!((stored, claimed), (Some(a), Some(b)) if a == b && !a.is_empty())
}
