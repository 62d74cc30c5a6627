import { route } from "./route.ts";

export const targetRoutes = [
  route({
    method: "GET",
    path: "/targets/{target}/{document}",
    access: "open",
    shared: true,
    summary: "What a target's systems read to tell our certificates and those revoked: ca.pub, krl, ca.pem, crl.",
    answers: { 200: null },
    async handle({ params }, { services }) {
      const { body, contentType, maxAge } = await services.targets.document(params["target"] ?? "", params["document"] ?? "");
      return { status: 200, body: Buffer.from(body), type: contentType, headers: ["Cache-Control", `public, max-age=${maxAge}`] };
    },
  }),
];
