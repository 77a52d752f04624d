// A page of a customer's product that is made of the SDK's React components: every
// hook that the package has, what it answers, and buttons for what it does.
import { useState } from "react";
import { createRoot } from "react-dom/client";
import * as sdk from "svix-react";
import "svix-react/style.css";

// Who opens the page says with whose token, as the product's own server would.
const { token, appId, serverUrl, portal, look, endpointId, messageId } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const options = { serverUrl };

/** What a hook answers, to be read as JSON. */
function Answer({ of, name }) {
  const { data, error, loading, hasNextPage } = of;
  const shown = { data, hasNextPage, error: error && { name: error.name, code: error.code, message: error.message } };
  return <output id={name} aria-busy={loading}>{JSON.stringify(shown)}</output>;
}

/** A button, and how what it does went. */
function Do({ name, what }) {
  const [came, setCame] = useState("");
  const run = () => what().then((v) => setCame(v?.error ? `failed: ${v.error.message}` : "done"), (e) => setCame(`failed: ${e.message}`));
  return <p><button onClick={run}>{name}</button> <span id={`${name}-came`}>{came}</span></p>;
}

function Page() {
  const [chosen, choose] = useState(endpointId);
  return (
    <>
      <Endpoints choose={choose} />
      <Answer name="useEventTypes" of={sdk.useEventTypes({ limit: 2 })} />
      <Answer name="useMessages" of={sdk.useMessages({ limit: 4, withContent: true })} />
      <Endpoint key={chosen} id={chosen} />
      <Message id={messageId} />
    </>
  );
}

function Endpoints({ choose }) {
  const { appId } = sdk.useSvix();
  const list = sdk.useEndpoints({ limit: 1 });
  const made = sdk.useNewEndpoint();
  const create = async () => {
    const came = await made.createEndpoint();
    if (came.endpoint) choose(came.endpoint.id);
    return came;
  };
  return (
    <section>
      <h1>{appId}</h1>
      <Answer name="useEndpoints" of={list} />
      <button disabled={!list.hasPrevPage} onClick={list.prevPage}>Previous</button>
      <button disabled={!list.hasNextPage} onClick={list.nextPage}>Next</button>
      <label>URL <input value={made.url.value} onChange={(e) => made.url.setValue(e.target.value)} /></label>
      <label>Description <input value={made.description.value} onChange={(e) => made.description.setValue(e.target.value)} /></label>
      <label>Event type <input onChange={(e) => made.eventTypes.setValue([e.target.value])} /></label>
      <label>Rate <input type="number" onChange={(e) => made.rateLimitPerSecond.setValue(Number(e.target.value))} /></label>
      <Do name="create" what={create} />
    </section>
  );
}

function Endpoint({ id }) {
  const endpoint = sdk.useEndpoint(id);
  const secret = sdk.useEndpointSecret(id);
  const headers = sdk.useEndpointHeaders(id);
  const { updateEndpoint, deleteEndpoint, recoverEndpointMessages } = sdk.useEndpointFunctions(id);
  const update = () => updateEndpoint({ url: endpoint.data.url, description: "changed by the page" }).then(endpoint.reload);
  return (
    <section>
      <Answer name="useEndpoint" of={endpoint} />
      <Answer name="useEndpointSecret" of={secret} />
      <Answer name="useEndpointHeaders" of={headers} />
      <Answer name="useEndpointStats" of={sdk.useEndpointStats(id)} />
      <Answer name="useEndpointMessageAttempts" of={sdk.useEndpointMessageAttempts(id, { limit: 2, withMsg: true })} />
      <Answer name="useAttemptedMessages" of={sdk.useAttemptedMessages(id, { limit: 2, withContent: true })} />
      <Do name="rotate" what={() => secret.rotateSecret({})} />
      <Do name="set-headers" what={() => headers.updateEndpointHeaders({ headers: { "x-tenant": "acme", "x-stage": "test" } })} />
      <Do name="patch-headers" what={() => headers.patchEndpointHeaders({ headers: { "x-stage": "live" } })} />
      <Do name="update" what={update} />
      <Do name="recover" what={() => recoverEndpointMessages({ since: new Date(Date.now() - 3_600_000) })} />
      <Do name="delete" what={deleteEndpoint} />
    </section>
  );
}

function Message({ id }) {
  const attempts = sdk.useMessageAttempts(id, { limit: 5 });
  return (
    <section>
      <Answer name="useMessage" of={sdk.useMessage(id)} />
      <Answer name="useMessageEndpoints" of={sdk.useMessageEndpoints(id)} />
      <Answer name="useMessageAttempts" of={attempts} />
      {attempts.data?.[0] && <Attempt of={attempts.data[0]} />}
    </section>
  );
}

function Attempt({ of }) {
  const { resendAttempt } = sdk.useAttemptFunctions(of);
  return <Do name="resend" what={resendAttempt} />;
}

createRoot(document.getElementById("root")).render(
  portal ? <sdk.AppPortal url={portal} {...look} /> : (
    <sdk.SvixProvider token={token} appId={appId} options={options}>
      <Page />
    </sdk.SvixProvider>
  ),
);
