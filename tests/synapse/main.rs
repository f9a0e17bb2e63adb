//! The built Worker, in real workerd, in front of a real Synapse.
//!
//! Requests go two ways, to Synapse directly and through the edge, and Synapse's log of requests
//! tells what it was asked and how it answered.

mod ask;
mod browser;
mod doors;
mod downloads;
mod federation;
mod large;
mod leases;
mod long_names;
mod media_leases;
mod memory;
mod parity;
mod peers;
mod provoked;
mod quarantine;
mod quarantine_list;
mod ranges;
mod refused;
mod servers;
mod status;
mod surroundings;
mod two_servers;
mod upload_ends;
mod upload_limits;
mod upload_types;
mod uploads;
mod walls;
mod world;
