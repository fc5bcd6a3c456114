//! The adapters on a real nats-server: the conformance suite of the ports, and what happens when
//! the server dies, the network swallows an answer, or a stream is deleted.

mod suite {
    mod access;
    mod api;
    mod backup;
    mod bus;
    mod client;
    mod cluster;
    mod conformance;
    mod connect;
    mod crash;
    mod deaths;
    mod decoders;
    mod ends;
    mod inbox;
    mod leases;
    mod log;
    mod patient;
    mod platform;
    mod proxy;
    mod seal;
    mod support;
    mod waits;
}
