"""What the Kubernetes manifests must be together, which no schema asks for: that nothing is lost with
one machine, that a machine can be emptied, that nobody is reached but by whom he must be, and that what
pods are given is made. Used by deploy.py, and tried by its own examples.
"""

# As few of these may run as say: three servers keep a majority when one is away, and one engine, or
# one worker, takes over while the other is replaced.
REPLICAS_MIN = {"nats": 3, "engine": 2, "worker": 2}


def workloads(objects: list[dict]) -> list[dict]:
    return [found for found in objects if found["kind"] in ("Deployment", "StatefulSet")]


def named(found: dict) -> str:
    return f"{found['kind']} {found['metadata']['name']}"


def labels(workload: dict) -> dict:
    return workload["spec"]["template"]["metadata"]["labels"]


def is_chosen(workload: dict, selector: dict) -> bool:
    """
    >>> pod = lambda **labels: {"spec": {"template": {"metadata": {"labels": labels}}}}
    >>> by_label = {"matchLabels": {"app": "a"}}
    >>> is_chosen(pod(app="a", system="b"), by_label), is_chosen(pod(app="b"), by_label)
    (True, False)
    >>> by_words = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}
    >>> is_chosen(pod(app="b"), by_words), is_chosen(pod(app="c"), by_words), is_chosen(pod(), {})
    (True, False, True)
    """
    own = labels(workload)
    wanted = selector.get("matchLabels", {}).items() <= own.items()
    among = all(own.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", []))
    return wanted and among


def enough(objects: list[dict]):
    """Whether there are as many as it takes, and each message is on every server.

    >>> of = lambda kind, app, replicas, env=(): {"kind": kind, "metadata": {"name": app}, "spec": {
    ...     "replicas": replicas, "template": {"metadata": {"labels": {"app": app}},
    ...     "spec": {"containers": [{"env": list(env)}]}}}}
    >>> three = [{"name": "STEAD_ENGINE_REPLICAS", "value": "3"}]
    >>> list(enough([of("StatefulSet", "nats", 3), of("Deployment", "engine", 2, three)]))
    []
    >>> list(enough([of("StatefulSet", "nats", 1), of("Deployment", "engine", 1)]))
    ['StatefulSet nats: 1 of them are too few; 3 are needed', 'Deployment engine: 1 of them are too few; 2 are needed', 'Deployment engine: STEAD_ENGINE_REPLICAS is not 3']
    >>> list(enough([]))
    ['there is no nats', 'there is no engine', 'there is no worker']
    """
    apps = {labels(found).get("app") for found in workloads(objects)}
    if not apps:
        yield from (f"there is no {app}" for app in REPLICAS_MIN)
    for found in workloads(objects):
        app, replicas = labels(found).get("app"), found["spec"].get("replicas", 1)
        least = REPLICAS_MIN.get(app, 1)
        if replicas < least:
            yield f"{named(found)}: {replicas} of them are too few; {least} are needed"
        if app == "engine":
            env = {one["name"]: one.get("value") for one in found["spec"]["template"]["spec"]["containers"][0]["env"]}
            if env.get("STEAD_ENGINE_REPLICAS") != str(REPLICAS_MIN["nats"]):
                yield f"{named(found)}: STEAD_ENGINE_REPLICAS is not {REPLICAS_MIN['nats']}"


def asked(objects: list[dict]):
    """Whether each of ours is asked how it is: a port that is open says nothing of the bus behind it.

    >>> of = lambda **probes: {"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"template": {
    ...     "metadata": {}, "spec": {"containers": [{"name": "c", "image": "stead", **probes}]}}}}
    >>> asks = lambda path: {"httpGet": {"path": path, "port": "metrics"}}
    >>> list(asked([of(readinessProbe=asks("/readyz"), livenessProbe=asks("/healthz"))]))
    []
    >>> list(asked([of(readinessProbe={"tcpSocket": {"port": "seeds"}}, livenessProbe=asks("/readyz"))]))
    ['Deployment a: the readinessProbe of c does not ask /readyz', 'Deployment a: the livenessProbe of c does not ask /healthz']
    """
    for found in workloads(objects):
        for container in found["spec"]["template"]["spec"]["containers"]:
            if container["image"] != "stead":
                continue
            for probe, path in [("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")]:
                if container.get(probe, {}).get("httpGet", {}).get("path") != path:
                    yield f"{named(found)}: the {probe} of {container['name']} does not ask {path}"


def disrupted(objects: list[dict]):
    """Whether each has a budget that neither forbids to empty a machine nor lets all of them go.

    >>> pods = {"kind": "Deployment", "metadata": {"name": "a"}, "spec": {
    ...     "replicas": 2, "template": {"metadata": {"labels": {"app": "a"}}}}}
    >>> budget = lambda **said: {"kind": "PodDisruptionBudget", "spec": {
    ...     "selector": {"matchLabels": {"app": "a"}}, **said}}
    >>> list(disrupted([pods, budget(minAvailable=1)])), list(disrupted([pods, budget(maxUnavailable=1)]))
    ([], [])
    >>> list(disrupted([pods]))
    ['Deployment a: has no disruption budget']
    >>> list(disrupted([pods, budget(minAvailable=2)])), list(disrupted([pods, budget(maxUnavailable=2)]))
    (['Deployment a: its disruption budget forbids every disruption'], ['Deployment a: its disruption budget lets all of them go'])
    """
    for found in workloads(objects):
        budgets = [
            one["spec"] for one in objects
            if one["kind"] == "PodDisruptionBudget" and is_chosen(found, one["spec"]["selector"])
        ]
        if not budgets:
            yield f"{named(found)}: has no disruption budget"
        for budget in budgets:
            replicas = found["spec"].get("replicas", 1)
            stay = budget.get("minAvailable", replicas - budget.get("maxUnavailable", 0))
            if stay >= replicas:
                yield f"{named(found)}: its disruption budget forbids every disruption"
            if stay <= 0:
                yield f"{named(found)}: its disruption budget lets all of them go"


def reached(objects: list[dict]):
    """Whether nobody is reached unless a policy says so, and each has a policy that says who it is.

    >>> pods = {"kind": "Deployment", "metadata": {"name": "a"}, "spec": {
    ...     "template": {"metadata": {"labels": {"app": "a"}}}}}
    >>> policy = lambda selector, **more: {"kind": "NetworkPolicy", "spec": {
    ...     "podSelector": selector, "policyTypes": ["Ingress", "Egress"], **more}}
    >>> own = policy({"matchLabels": {"app": "a"}}, egress=[{}])
    >>> list(reached([pods, policy({}), own]))
    []
    >>> list(reached([pods, own])), list(reached([pods, policy({})]))
    (['no network policy closes everything that no other one opens'], ['Deployment a: no network policy says whom it may reach'])
    >>> list(reached([pods, policy({}, ingress=[{}]), own]))
    ['no network policy closes everything that no other one opens']
    """
    policies = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    both = {"Ingress", "Egress"}
    closes = [
        one for one in policies
        if one["podSelector"] == {} and both <= set(one.get("policyTypes", []))
        and not one.get("ingress") and not one.get("egress")
    ]
    if not closes:
        yield "no network policy closes everything that no other one opens"
    for found in workloads(objects):
        own = [one for one in policies if one["podSelector"] and is_chosen(found, one["podSelector"])]
        if not any(both <= set(one.get("policyTypes", [])) and one.get("egress") for one in own):
            yield f"{named(found)}: no network policy says whom it may reach"


def given(objects: list[dict], kustomization: dict):
    """Whether the secrets and files that pods are given are made.

    >>> pods = lambda **volume: {"kind": "Deployment", "metadata": {"name": "a"}, "spec": {
    ...     "template": {"spec": {"volumes": [volume]}}}}
    >>> made = {"secretGenerator": [{"name": "s", "files": ["keys/k"]}]}
    >>> list(given([pods(secret={"secretName": "s"})], made))
    []
    >>> list(given([pods(projected={"sources": [{"secret": {"name": "s"}}, {"configMap": {"name": "c"}}]})], made))
    ['Deployment a: nothing makes the configMap c']
    """
    made = {("secret", one["name"]) for one in kustomization.get("secretGenerator", [])}
    made |= {("configMap", one["name"]) for one in kustomization.get("configMapGenerator", [])}
    made |= {("configMap", one["metadata"]["name"]) for one in objects if one["kind"] == "ConfigMap"}
    for found in workloads(objects):
        volumes = found["spec"]["template"]["spec"].get("volumes", [])
        sources = [one for volume in volumes for one in volume.get("projected", {}).get("sources", [volume])]
        for source in sources:
            for kind in ("secret", "configMap"):
                name = source.get(kind, {}).get("name") or source.get(kind, {}).get("secretName")
                if kind in source and (kind, name) not in made:
                    yield f"{named(found)}: nothing makes the {kind} {name}"
