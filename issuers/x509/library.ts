import { createRequire } from "node:module";
import type * as csr from "@peculiar/asn1-csr";
import type * as schema from "@peculiar/asn1-schema";
import type * as asn1 from "@peculiar/asn1-x509";
import type * as x509 from "@peculiar/x509";
import type * as asn1js from "asn1js";

/** The libraries that write and read certificates: one family, from what a certificate says down to its bytes. */
export interface Library {
  readonly x509: typeof x509;
  readonly asn1: typeof asn1;
  readonly csr: typeof csr;
  readonly schema: typeof schema;
  readonly asn1js: typeof asn1js;
}

const require = createRequire(import.meta.url);
let loaded: Library | undefined;

/** Loaded when the first Target of this kind is opened, at once and for good: a broker without one never pays for it. */
export function library(): Library {
  loaded ??= load();
  return loaded;
}

function load(): Library {
  // `@peculiar/x509` finds its parts through it, so it comes first
  require("reflect-metadata");
  return {
    x509: require("@peculiar/x509") as typeof x509,
    asn1: require("@peculiar/asn1-x509") as typeof asn1,
    csr: require("@peculiar/asn1-csr") as typeof csr,
    schema: require("@peculiar/asn1-schema") as typeof schema,
    asn1js: require("asn1js") as typeof asn1js,
  };
}
