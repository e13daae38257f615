"""Trains a network on example files in Horovod processes and exports it; knows no table and no Spark."""
