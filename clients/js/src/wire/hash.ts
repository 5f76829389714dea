// The desync hash (SPEC.md, section "Desync hash") and the checksum of objects.

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

/** CRC-32 of zlib, gzip and PNG. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/**
 * Hashes of rows, each a u32: FNV-1a over words, then the finaliser of MurmurHash3.
 *
 * @param table index of the table in the schema
 * @param columns each field's integers in schema order, by id
 */
export function rowHashes(
  table: number,
  ids: Uint32Array,
  columns: readonly (Int32Array | Uint32Array)[],
): Uint32Array {
  const hashes = new Uint32Array(ids.length);
  const seed = 2166136261 ^ table;
  for (let i = 0; i < ids.length; i++) hashes[i] = Math.imul(seed ^ ids[i], 16777619);
  for (const column of columns) {
    for (let i = 0; i < ids.length; i++) hashes[i] = Math.imul(hashes[i] ^ column[ids[i]], 16777619);
  }
  for (let i = 0; i < ids.length; i++) {
    let hash = hashes[i];
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hashes[i] = hash ^ (hash >>> 16);
  }
  return hashes;
}

/** The sum of hashes, a u32. */
export function sumOf(hashes: Uint32Array): number {
  let sum = 0;
  for (let i = 0; i < hashes.length; i++) sum = (sum + hashes[i]) | 0;
  return sum >>> 0;
}

/** How many buckets a table's digest has when there are so many tables; 0: no digests (SPEC.md, RESYNC). */
export function digestBuckets(tables: number): number {
  if (tables === 0 || tables > 60) return 0;
  let buckets = 64;
  while (tables * 4 * buckets > 3072) buckets /= 2;
  return buckets;
}

/** Sums of row hashes by the remainder of the ids, as little-endian u32. */
export function bucketSums(ids: Uint32Array, hashes: Uint32Array, buckets: number): Uint8Array {
  const sums = new Uint32Array(buckets);
  for (let i = 0; i < ids.length; i++) sums[ids[i] % buckets] += hashes[i];
  const packed = new DataView(new ArrayBuffer(buckets * 4));
  for (let i = 0; i < buckets; i++) packed.setUint32(i * 4, sums[i], true);
  return new Uint8Array(packed.buffer);
}
