//! Nothing lives here: the tests are in `suite/`, the simulated vendors in `lab/`.
