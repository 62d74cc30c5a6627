import { describe, expect, it } from "@jest/globals";
import { validate } from "dockerfile-utils";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { VARIABLES } from "../../broker/config/environment.ts";
import { newOperatorToken } from "../../broker/operators.ts";
import { writeFile } from "node:fs/promises";
import { eventually } from "../support/events.ts";
import { newMasterKey } from "../support/main-process.ts";
import { freePort, startRedis } from "../support/redis.ts";
import { copies, image, root, stages, text, variables } from "./dockerfile.ts";

describe("the Dockerfile", () => {
  it("is without a complaint of a linter", () => {
    expect(validate(text("Dockerfile"), {}).map(({ message }) => message)).toEqual([]);
    expect(validate("FROM node:20\nENTRYPONT x\n", {})).toHaveLength(1);
  });

  it("copies only what exists, and from stages that exist", () => {
    const names = stages().map((stage) => / AS (\S+)$/.exec(stage[0]?.rest ?? "")?.[1]);
    for (const { from, paths } of stages().flatMap(copies)) {
      if (from !== undefined) expect(names).toContain(from);
      for (const path of paths) {
        const here = path.replace(/^\/src\/dist\//, "dist/").replace(/^\/app\/node_modules$/, "node_modules");
        expect([path, existsSync(join(root, here))]).toEqual([path, true]);
      }
    }
  });

  it("holds what the package holds, but for its pages", () => {
    const { files } = JSON.parse(text("package.json")) as { readonly files: readonly string[] };
    const held = copies(image()).map(({ to }) => to.replace("./", ""));
    expect(held.toSorted()).toEqual([...files.filter((file) => file !== "docs"), "node_modules", ""].toSorted());
  });

  it("runs no install scripts, carries no development packages, and is nobody special", () => {
    const runs = stages().map((stage) => stage.filter(({ word }) => word === "RUN").map(({ rest }) => rest));
    const installs = runs.flat().filter((run) => /\bnpm (?:ci|install)\b/.test(run));
    expect(installs.every((run) => run.includes("npm ci --ignore-scripts"))).toBe(true);
    expect(runs[1]?.join("\n")).toContain("--omit=dev");
    expect(image().find(({ word }) => word === "USER")?.rest).toBe("1000:1000");
    expect(image().filter(({ word }) => word === "ADD" || word === "SHELL")).toEqual([]);
    // what is copied after the user is set would be the user's to change
    expect(image().findIndex(({ word }) => word === "USER")).toBeGreaterThan(image().findLastIndex(({ word }) => word === "COPY"));
  });

  it("keeps secrets and what is made here out of its context", () => {
    const ignored = text(".dockerignore").split("\n");
    for (const path of ["secrets", ".env", ".stint", "node_modules", "dist", ".git"]) expect(ignored).toContain(path);
    for (const { from, paths } of stages().flatMap(copies))
      if (from === undefined) for (const path of paths) expect(ignored).not.toContain(path);
  });

  it("sets only variables that there are, and exposes where it listens", () => {
    const set = variables(image());
    const known = new Set(["NODE_ENV", ...VARIABLES.map(({ name }) => name)]);
    expect(Object.keys(set).filter((name) => !known.has(name))).toEqual([]);
    const ports = [set["STINT_LISTEN"], set["STINT_METRICS_LISTEN"]].map((address) => address?.split(":")[1]);
    expect(
      image()
        .find(({ word }) => word === "EXPOSE")
        ?.rest.split(" "),
    ).toEqual(ports);
    expect(image().find(({ word }) => word === "HEALTHCHECK")?.rest).toContain(`http://127.0.0.1:${ports[1]}/livez`);
  });

  it("is enough to run a broker: its files, its variables and its command, with a health check that tells", async () => {
    const folder = await mkdtemp(join(tmpdir(), "stint-image-"));
    await using redis = await startRedis();
    const [port, metrics] = [await freePort(), await freePort()];
    try {
      for (const { paths, to } of copies(image())) {
        for (const path of paths) {
          const from = join(root, path.replace(/^\/src\//, "").replace(/^\/app\//, ""));
          const target = join(folder, to, to.endsWith("/") ? path : "");
          await mkdir(dirname(target), { recursive: true });
          if (path.endsWith("node_modules")) await symlink(from, target);
          else await cp(from, target, { recursive: true });
        }
      }
      await mkdir(join(folder, "policy"));
      await writeFile(join(folder, "operators"), newOperatorToken("root", "admin").line, { mode: 0o600 });
      const command = JSON.parse(image().findLast(({ word }) => word === "CMD")?.rest ?? "[]") as readonly string[];
      const child = spawn(process.execPath, command.slice(1), {
        cwd: folder,
        env: {
          PATH: process.env["PATH"],
          ...variables(image()),
          STINT_CONFIG: join(folder, "policy"),
          STINT_DATA_DIR: join(folder, "data"),
          STINT_URL: `http://127.0.0.1:${port}`,
          STINT_LISTEN: `0.0.0.0:${port}`,
          STINT_METRICS_LISTEN: `0.0.0.0:${metrics}`,
          STINT_REDIS_URL: redis.url,
          STINT_MASTER_KEY: newMasterKey(),
          STINT_OPERATOR_TOKENS_FILE: join(folder, "operators"),
        },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let said = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += String(chunk)));
      const exited = once(child, "close");
      try {
        await eventually(
          "the broker is ready",
          async () => {
            if (child.exitCode !== null) throw new Error(said.slice(-2_000));
            return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
          },
          30_000,
        );
        const check = JSON.parse(
          /CMD (\[.*\])$/.exec(image().find(({ word }) => word === "HEALTHCHECK")?.rest ?? "")?.[1] ?? "[]",
        ) as string[];
        const healthy = async (): Promise<number | null> => {
          const [program, ...args] = check.map((word) => word.replace(":9420/", `:${metrics}/`));
          const probe = spawn(program ?? "", args, { stdio: "ignore" });
          return (await once(probe, "close"))[0] as number | null;
        };
        expect(await healthy()).toBe(0);
        child.kill("SIGTERM");
        expect((await exited)[0]).toBe(0);
        expect(await healthy()).toBe(1);
      } finally {
        child.kill("SIGKILL");
        await exited;
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
