//! HTTP requests and responses to outcomes, and the driver that performs I/O.
