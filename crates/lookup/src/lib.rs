//! One point lookup as a state machine that asks for byte ranges.
