// OpenAI's Node client in all it does here; prints what it got as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.GATEWAY_URL + "/v1", apiKey: process.env.GATEWAY_KEY, maxRetries: 0 });
const MODELS = ["gpt", "claude", "gemini"];
const ASK = [{ role: "user", content: "Say hello" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOLS = [{ type: "function", function: { name: "get_weather", parameters } }];

const each = async (work) => Object.fromEntries(await Promise.all(MODELS.map(async (model) => [model, await work(model)])));

const chat = async (model) => (await client.chat.completions.create({ model, messages: ASK })).choices[0].message.content;

const stream = async (model) => {
  let text = "";
  for await (const chunk of await client.chat.completions.create({ model, messages: ASK, stream: true })) {
    text += chunk.choices[0]?.delta?.content ?? "";
  }
  return text;
};

const tools = async (model) => {
  const question = [{ role: "user", content: "Weather in Paris?" }];
  const first = (await client.chat.completions.create({ model, messages: question, tools: TOOLS })).choices[0].message;
  const call = first.tool_calls[0];
  const result = { role: "tool", tool_call_id: call.id, content: "sunny-in-paris" };
  const second = await client.chat.completions.create({ model, messages: [...question, first, result], tools: TOOLS });
  return { name: call.function.name, args: JSON.parse(call.function.arguments), then: second.choices[0].message.content };
};

const responses = async (model) => {
  const answer = await client.responses.create({ model, input: "Say hello" });
  const again = await client.responses.retrieve(answer.id);
  const events = client.responses.stream({ model, input: "Say hello" });
  const streamed = await events.finalResponse();
  return { text: answer.output_text, again: again.output_text, streamed: streamed.output_text };
};

const failure = async () => {
  try {
    await client.chat.completions.create({ model: "nobody", messages: ASK });
  } catch (error) {
    return { status: error.status, param: error.param };
  }
};

const models = [];
for await (const model of client.models.list()) models.push(model.id);
console.log(
  JSON.stringify({
    chat: await each(chat),
    stream: await each(stream),
    tools: await each(tools),
    responses: await each(responses),
    embeddings: (await client.embeddings.create({ model: "embedder", input: ["a", "b"] })).data.map((row) => row.embedding),
    models: models.sort(),
    failure: await failure(),
  }),
);
