// The Vercel AI SDK with each of its providers that speaks one of our APIs; prints what it got as JSON.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const url = process.env.GATEWAY_URL;
const apiKey = process.env.GATEWAY_KEY;
const compatible = createOpenAICompatible({ name: "gateway", baseURL: url + "/v1", apiKey });
const openai = createOpenAI({ baseURL: url + "/v1", apiKey });
const anthropic = createAnthropic({ baseURL: url + "/v1", apiKey });
const google = createGoogleGenerativeAI({ baseURL: url + "/v1beta", apiKey });
const SPEAKERS = {
  compatible: (model) => compatible(model),
  responses: (model) => openai(model),
  anthropic: (model) => anthropic(model),
  google: (model) => google(model),
};
const MODELS = ["gpt", "claude", "gemini"];

const each = async (work) => {
  const found = {};
  for (const [name, speaker] of Object.entries(SPEAKERS)) {
    for (const model of MODELS) found[`${name}/${model}`] = await work(speaker(model));
  }
  return found;
};

const chat = async (model) => (await generateText({ model, prompt: "Say hello", maxRetries: 0 })).text;

const stream = async (model) => {
  let text = "";
  for await (const piece of streamText({ model, prompt: "Say hello", maxRetries: 0 }).textStream) text += piece;
  return text;
};

const get_weather = tool({
  description: "Of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny-in-${city.toLowerCase()}`,
});

const tools = async (model) => {
  const done = await generateText({ model, prompt: "Weather in Paris?", tools: { get_weather }, stopWhen: stepCountIs(3), maxRetries: 0 });
  const call = done.steps[0].toolCalls[0];
  return { name: call.toolName, args: call.input, then: done.text };
};

const { embeddings } = await embedMany({ model: compatible.embeddingModel("embedder"), values: ["a", "b"] });
console.log(JSON.stringify({ chat: await each(chat), stream: await each(stream), tools: await each(tools), embeddings }));
