// Tickwire 0.1.0, MIT. With @msgpack/msgpack, ISC. Built from clients/js.
