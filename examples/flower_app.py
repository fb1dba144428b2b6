"""Federated averaging with Flower on what `fedsynth export OUT` wrote: `python examples/flower_app.py OUT [USERS]`.

Needs `pip install torch==2.13.0` and then `pip install '.[clients,arrow]'`. The first users, ten unless said, take part
in three rounds; what is printed is how many of their own test samples the common model gets right after each.
"""

import os
import sys

os.environ |= {"FLWR_TELEMETRY_ENABLED": "0", "HF_HUB_OFFLINE": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from flwr_datasets import FederatedDataset
from flwr_datasets.partitioner import NaturalIdPartitioner

OUT = sys.argv[1] if len(sys.argv) > 1 else "out"
USERS = int(sys.argv[2]) if len(sys.argv) > 2 else 10
ROUNDS, EPOCHS, LEARNING_RATE, BATCH = 3, 2, 0.1, 10

client = ClientApp()
server = ServerApp()


def load_user(user: int, side: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a user's x [n, D] and y [n] of a side, train or test."""
    users = FederatedDataset(dataset=OUT, partitioners={side: NaturalIdPartitioner("user_id")})
    samples = users.load_partition(user, side).with_format("torch")[:]
    return samples["x"].float(), samples["y"]


def make_model(arrays: ArrayRecord) -> torch.nn.Linear:
    """Return multinomial logistic regression with the server's weights."""
    state = arrays.to_torch_state_dict()
    model = torch.nn.Linear(*reversed(state["weight"].shape))
    model.load_state_dict(state)
    return model


@client.train()
def train(message: Message, context: Context) -> Message:
    """Train the server's model on this user's samples."""
    x, y = load_user(int(context.node_config["partition-id"]), "train")
    model = make_model(message.content["arrays"])
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    for batch in torch.arange(len(y)).split(BATCH) * EPOCHS:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    records = {"arrays": ArrayRecord(model.state_dict()), "metrics": MetricRecord({"num-examples": len(y)})}
    return Message(RecordDict(records), reply_to=message)


@client.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Test the server's model on this user's test samples."""
    x, y = load_user(int(context.node_config["partition-id"]), "test")
    right = (make_model(message.content["arrays"])(x).argmax(1) == y).float().mean().item()
    return Message(RecordDict({"metrics": MetricRecord({"accuracy": right, "num-examples": len(y)})}), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Average the users' models, and print how good the result is."""
    columns = FederatedDataset(dataset=OUT, partitioners={}).load_split("train").features
    start = {"weight": torch.zeros(columns["y"].num_classes, columns["x"].length)}
    start["bias"] = torch.zeros(len(start["weight"]))
    strategy = FedAvg(min_train_nodes=USERS, min_evaluate_nodes=USERS, min_available_nodes=USERS)
    result = strategy.start(grid, ArrayRecord(start), num_rounds=ROUNDS)
    for number, metrics in result.evaluate_metrics_clientapp.items():
        print(f"round {number}: accuracy {metrics['accuracy']:.3f}")


if __name__ == "__main__":
    run_simulation(server, client, num_supernodes=USERS, backend_config={"client_resources": {"num_cpus": 1}})
