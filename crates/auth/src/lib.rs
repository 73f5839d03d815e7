//! Tokens in, identity out; who may read or write what.
