//! Tokens signed for real, against every check of `firn-auth`.

#[cfg(test)]
mod crypto;

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tokens;

#[cfg(test)]
mod claims;

#[cfg(test)]
mod key_sets;
