// Anthropic's Node client in all it does here; prints what it got as JSON.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.env.GATEWAY_URL, apiKey: process.env.GATEWAY_KEY, maxRetries: 0 });
const MODELS = ["claude", "gpt", "gemini"];
const ASK = [{ role: "user", content: "Say hello" }];
const input_schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOLS = [{ name: "get_weather", description: "Of a city", input_schema }];

const each = async (work) => Object.fromEntries(await Promise.all(MODELS.map(async (model) => [model, await work(model)])));

const chat = async (model) => {
  const answer = await client.messages.create({ model, max_tokens: 100, messages: ASK });
  return { text: answer.content[0].text, stop: answer.stop_reason, out: answer.usage.output_tokens, model: answer.model };
};

const stream = async (model) => {
  const answer = await client.messages.stream({ model, max_tokens: 100, messages: ASK }).finalMessage();
  return { text: answer.content[0].text, stop: answer.stop_reason };
};

const tools = async (model) => {
  const question = [{ role: "user", content: "Weather in Paris?" }];
  const first = await client.messages.stream({ model, max_tokens: 100, messages: question, tools: TOOLS }).finalMessage();
  const call = first.content.find((block) => block.type === "tool_use");
  const result = [{ type: "tool_result", tool_use_id: call.id, content: "sunny-in-paris" }];
  const messages = [...question, { role: "assistant", content: first.content }, { role: "user", content: result }];
  const second = await client.messages.create({ model, max_tokens: 100, messages, tools: TOOLS });
  return { name: call.name, args: call.input, then: second.content[0].text, stop: first.stop_reason };
};

const failure = async () => {
  try {
    await client.messages.create({ model: "nobody", max_tokens: 5, messages: ASK });
  } catch (error) {
    return { status: error.status, type: error.error.error.type };
  }
};

const models = [];
for await (const model of client.models.list()) models.push(model.id);
console.log(
  JSON.stringify({
    chat: await each(chat),
    stream: await each(stream),
    tools: await each(tools),
    counted: await each(async (model) => (await client.messages.countTokens({ model, messages: ASK })).input_tokens > 0),
    models: models.sort(),
    failure: await failure(),
  }),
);
