const SLOTS = 16_384;

/** The Cluster's slot of a key: CRC16 (XMODEM) of its hash tag, or of all of it (Redis Cluster specification, "Key distribution model"). */
export function slotOf(key: string): number {
  let crc = 0;
  for (const byte of Buffer.from(taggedPart(key))) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? (crc << 1) & 0xffff : ((crc << 1) ^ 0x1021) & 0xffff;
  }
  return crc % SLOTS;
}

function taggedPart(key: string): string {
  const open = key.indexOf("{");
  const close = open < 0 ? -1 : key.indexOf("}", open + 1);
  return close > open + 1 ? key.slice(open + 1, close) : key;
}
