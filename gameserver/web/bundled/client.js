// Tickwire 0.1.0, MIT. With @msgpack/msgpack, ISC. Built from clients/js.
var o="0.1.0";export{o as VERSION};
